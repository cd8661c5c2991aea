"""Metrics of several hosts as one text."""

from __future__ import annotations

from lxdpm_tui.gateway.metrics import UP, merge

H1 = """# HELP lxd_cpu_seconds_total The total number of CPU time used in seconds.
# TYPE lxd_cpu_seconds_total counter
lxd_cpu_seconds_total{cpu="0",mode="user",name="a",project="default",type="container"} 1.5
lxd_cpu_seconds_total{cpu="0",mode="user",name="b",project="other",type="container"} 2
# HELP lxd_operations_total The number of running operations
# TYPE lxd_operations_total counter
lxd_operations_total 3
# EOF
"""
H2 = """# HELP lxd_operations_total The number of running operations
# TYPE lxd_operations_total counter
lxd_operations_total 4
# HELP incus_new_thing Something
# TYPE incus_new_thing gauge
incus_new_thing{name="x}y\\"z",project="default"} 1e+09
# EOF
"""
HOSTS = {"h1": True, "h2": True, "h3": False}


def test_each_family_is_described_once_and_each_sample_says_its_host() -> None:
    lines = merge({"h1": H1, "h2": H2}, HOSTS).splitlines()
    assert lines[-1] == "# EOF"
    assert lines.count("# TYPE lxd_operations_total counter") == 1
    at = lines.index("# TYPE lxd_operations_total counter")
    assert lines[at + 1 : at + 3] == ['lxd_operations_total{location="h1"} 3', 'lxd_operations_total{location="h2"} 4']
    assert 'incus_new_thing{location="h2",name="x}y\\"z",project="default"} 1e+09' in lines
    assert f'{UP}{{location="h3"}} 0' in lines
    assert len(lines) == len(set(lines))


def test_restricted_callers_get_samples_of_their_projects_only() -> None:
    lines = merge({"h1": H1, "h2": H2}, HOSTS, lambda project: project == "other").splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert len(samples) == 1
    assert 'name="b"' in samples[0]


def test_nothing_is_an_empty_text() -> None:
    assert merge({"h1": "# EOF\n"}, {}, lambda _: True) == "# EOF\n"
