"""The modules of live pictures are joined only if each is what the joining expects."""

import pytest

from groot_teach.show.es_modules import as_module, as_script

ENGINE = "export const put = 1;\nfunction hydrate() {}\nfunction render() {}\n"
PICTURE = 'import { put } from "../../show/live.js";\nexport const picture = { twins: {} };\n'


def test_neither_an_import_nor_an_export_is_left_in_a_classic_script():
    script = as_script(ENGINE, {"one": PICTURE, "two": PICTURE})
    assert "import" not in script
    assert "export" not in script
    assert script.index("pictures.one =") < script.index("pictures.two =")


@pytest.mark.parametrize(
    "broken",
    [
        PICTURE.replace("import", "// import"),
        PICTURE.replace("export ", ""),
        PICTURE + "export const other = 1;\n",
        'import x from "https://host/x.js";\n' + PICTURE,
    ],
)
def test_a_module_with_other_imports_or_exports_is_refused(broken):
    with pytest.raises(ValueError, match="expected one import, from show"):
        as_module(ENGINE, broken)
