import pytest

from gateway.dicom.detect import detect
from gateway.dicom.header import read_header
from gateway.dicom.part10 import split
from gateway.dicom.text import Origin, decode, terms
from tests.doubles.datasets import shared_data

NAMES = {
    "gb18030": ["王^小东", "李^娜", "张^伟", "欧阳^修", "Wang^XiaoDong=王^小东", "刘^德华", "朱^镕基", "陈^静", "赵", "周^杰伦"],
    "utf_8": ["王^小东", "Müller^Jörg", "김^희중", "Иванов^Иван", "Γεωργίου"],
    "latin_1": ["Müller^Jörg", "João^Conceição", "Pääjärvi^Väinö", "García^José", "Bjørn^Åse", "Noël", "Strauß", "Ærø^Ib"],
    "euc_kr": ["김^희중", "박^지성", "홍^길동", "최^민수", "Hong^Gildong=홍^길동"],
    "shift_jis": ["山田^太郎", "やまだ^たろう", "ヤマダ^タロウ", "ﾔﾏﾀﾞ^ﾀﾛｳ", "佐藤^花子"],
    "euc_jp": ["やまだ^たろう", "ヤマダ^タロウ"],
    "cp1251": ["Иванов^Иван", "ПЕТРОВА^АННА", "Сидоров^Пётр"],
    "koi8_r": ["Иванов^Иван", "Петрова^Анна"],
    "iso8859_5": ["Иванов^Иван", "Петрова^Анна"],
    "big5": ["王^小東", "陳^水扁", "林^志玲"],
}  # fmt: skip
TEXTS = {
    "gb18030": ["胸部平扫", "CT胸部平扫+增强", "右膝关节正侧位", "某某市第一人民医院", "腰椎 MR"],
    "latin_1": ["Thorax à deux plans", "Größe 5 µm", "naïve é", "25 °C"],
    "cp1251": ["Органы грудной клетки", "РЕНТГЕНОГРАФИЯ"],
    "shift_jis": ["胸部レントゲン", "頭部ＣＴ"],
    "euc_kr": ["흉부 엑스레이"],
}


@pytest.mark.parametrize(
    ("codec", "text"), [(codec, text) for codec, texts in NAMES.items() for text in texts]
)
def test_names_are_told_apart(codec, text):
    assert detect(text.encode(codec), name=True) == codec


@pytest.mark.parametrize(
    ("codec", "text"), [(codec, text) for codec, texts in TEXTS.items() for text in texts]
)
def test_texts_are_told_apart(codec, text):
    assert detect(text.encode(codec)) == codec


@pytest.mark.parametrize("text", ["王^小东", "张^伟", "刘^德华"])
def test_attack_24_gb_bytes_declared_as_latin_1_are_flagged_and_never_silently_believed(text):
    lying = text.encode("gb18030")
    decoded = decode(lying, terms("ISO_IR 100"), name=True)
    assert (decoded.origin, decoded.suspect) == (Origin.DECLARED, True)
    usual = decode(lying, terms("ISO_IR 100"), "GB18030", name=True)
    assert (usual.text, usual.origin, usual.suspect) == (text, Origin.DEFAULT, True)


@pytest.mark.parametrize("text", NAMES["latin_1"])
def test_true_latin_1_is_not_flagged(text):
    decoded = decode(text.encode("latin_1"), terms("ISO_IR 100"), "GB18030", name=True)
    assert (decoded.text, decoded.suspect) == (text, False)


@pytest.mark.parametrize(("declared", "codec"), [("ISO_IR 144", "iso8859_5"), ("ISO_IR 126", "iso8859_7")])
def test_other_sets_are_believed(declared, codec):
    text = {"iso8859_5": "Иванов^Иван", "iso8859_7": "Διονυσιος"}[codec]
    decoded = decode(text.encode(codec), terms(declared), name=True)
    assert (decoded.text, decoded.suspect) == (text, False)
    assert decode(text.encode(), terms(declared), name=True).suspect


def test_attack_24_real_files_are_decoded_as_they_declare_and_none_is_called_a_liar():
    folder = shared_data()
    if folder is None:
        pytest.skip("no ../shared/data here")
    seen = {}
    for file in sorted((folder / "charset").iterdir()) + sorted((folder / "odd").glob("*.dcm")):
        part = split(file.read_bytes())
        header = read_header(part.dataset, part.transfer_syntax_uid)
        assert "not as its character set" not in header.flaw, file
        seen[file.name] = header.string("PatientName")
    assert seen["chrX2.dcm"] == "Wang^XiaoDong=王^小东"
    assert seen["chrH31.dcm"] == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert seen["chrI2.dcm"].endswith("홍^길동")
    assert seen["chrRuss.dcm"] == "Люкceмбypг"
