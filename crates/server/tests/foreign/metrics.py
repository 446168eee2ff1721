"""The metrics as Prometheus' own parser reads them: `metrics.py URL`. The samples that the test knows are its arguments:
NAME=VALUE, summed over the workers."""

import sys
import urllib.request
from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

url, *known = sys.argv[1:]
with urllib.request.urlopen(url, timeout=20) as answer:
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", answer.headers
    page = answer.read().decode()

families = list(text_string_to_metric_families(page))
names = [family.name for family in families]
assert len(names) == len(set(names)), names
sums = defaultdict(float)
for family in families:
    assert family.documentation.endswith("."), family
    assert family.type in ("counter", "gauge", "histogram"), family
    assert family.samples, family
    seen = set()
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        assert key not in seen, key
        seen.add(key)
        sums[sample.name] += sample.value
    if family.type != "histogram":
        continue
    # Each worker's buckets grow, in order, up to its count.
    for worker in {sample.labels["worker"] for sample in family.samples}:
        own = [sample for sample in family.samples if sample.labels["worker"] == worker]
        buckets = [(float(s.labels["le"]), s.value) for s in own if s.name.endswith("_bucket")]
        assert buckets == sorted(buckets) and len(buckets) == 14, buckets
        assert [value for _, value in buckets] == sorted(value for _, value in buckets), buckets
        (count,) = [sample.value for sample in own if sample.name.endswith("_count")]
        assert buckets[-1] == (float("inf"), count), own
for name, value in (pair.split("=") for pair in known):
    assert sums[name] == float(value), (name, sums[name], value)
print(f"{len(families)} families")
