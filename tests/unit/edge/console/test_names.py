"""Person names as the technician reads them."""

import pytest

from edge.console.names import person


@pytest.mark.parametrize(
    ("value", "english", "chinese"),
    [
        ("Sample^Anna", "Sample, Anna", "Sample, Anna"),
        ("Sample^Anna^Maria^Dr", "Sample, Anna Maria", "Sample, Anna Maria"),
        ("张^小东", "张小东", "张小东"),
        ("Zhang^XiaoDong=张^小东=zhang^xiao dong", "Zhang, XiaoDong 张小东", "张小东 Zhang, XiaoDong"),
        ("=张^小东", "张小东", "张小东"),
        ("SAMPLE ANNA", "SAMPLE ANNA", "SAMPLE ANNA"),
        ("^Anna", "Anna", "Anna"),
        ("^^^^", "", ""),
        ("", "", ""),
    ],
)
def test_a_name_reads_as_a_name(value, english, chinese):
    assert (person(value, "en"), person(value, "zh")) == (english, chinese)
