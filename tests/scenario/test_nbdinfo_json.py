"""nbdinfo --json tells every fact of the export and of the protocol.

SPDX-License-Identifier: BSD-3-Clause
"""
import json


def test_json(serve, image, run):
    daemon = serve(image(size=3 << 20), name="vol",
                   export=",description=the first volume")
    told = json.loads(run("nbdinfo", "--json", daemon.uri).stdout)
    assert told["protocol"] == "newstyle-fixed"
    assert told["TLS"] is False
    assert told["structured"] is True
    export = told["exports"][0]
    assert export["export-name"] == "vol"
    assert export["description"] == "the first volume"
    assert export["export-size"] == 3 << 20
    assert export["is_read_only"] is False
    assert "base:allocation" in export["contexts"]
    assert export["block_size_minimum"] == 1
    assert export["block_size_maximum"] >= 32 << 20
    for fact in ("can_cache", "can_df", "can_fast_zero", "can_flush",
                 "can_fua", "can_multi_conn", "can_trim", "can_zero"):
        assert export[fact] is True, fact
