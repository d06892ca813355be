import logging

from seti.utils.notices import log_once

LOG = logging.getLogger(__name__)


def test_a_line_or_a_subject_is_logged_once(caplog, tmp_path):
    with caplog.at_level(logging.INFO):
        for line, about in ((f"{tmp_path}: a", None), (f"{tmp_path}: b", None), ("c 100 %", tmp_path)) * 2:
            log_once(LOG, logging.INFO, line, about)
        log_once(LOG, logging.WARNING, "c in other words", tmp_path)
    assert [record.getMessage() for record in caplog.records] == [f"{tmp_path}: a", f"{tmp_path}: b", "c 100 %"]
