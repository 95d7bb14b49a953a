"""Law 1 of sentence spans, for any text."""

from hypothesis import given
from hypothesis import strategies as st

from kotaemon_node.domain.sentences import sentence_spans

TEXT = st.text(alphabet=st.sampled_from("aB1 .!?\n。！？“”)|#-中文\t…\u3000\u00a0é\r")) | st.text()


@given(TEXT)
def test_spans_are_ordered_trimmed_and_leave_only_blanks_outside(text: str) -> None:
    spans = sentence_spans(text)
    end_before = 0
    for start, end in spans:
        assert start < end
        assert not text[end_before:start].strip()
        assert text[start:end] == text[start:end].strip()
        end_before = end
    assert not text[end_before:].strip()
