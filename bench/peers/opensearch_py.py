"""opensearch-py as a careful user would load an access log with it: one regex, bulk requests in two threads."""
import re
import sys
from datetime import datetime

from opensearchpy import OpenSearch, helpers

LINE = re.compile(
    r'(?P<clientip>\S+) (?P<ident>\S+) (?P<auth>.+?) \[(?P<time>[^\]]+)\] '
    r'"(?:(?P<verb>[A-Z]+) (?P<request>\S+)(?: HTTP/(?P<httpversion>[\d.]+))?|(?P<rawrequest>[^"]*))" '
    r'(?P<response>\d{3}|-) (?P<bytes>\d+|-)(?: "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?'
)


def documents(path):
    with open(path, encoding="utf-8", errors="replace") as log:
        for line in log:
            found = LINE.match(line)
            if not found:
                continue
            document = {name: value for name, value in found.groupdict().items() if value is not None}
            when = datetime.strptime(document.pop("time"), "%d/%b/%Y:%H:%M:%S %z")
            document["@timestamp"] = when.isoformat()
            for name in ("response", "bytes"):
                value = document.pop(name)
                if value != "-":
                    document[name] = int(value)
            yield {"_op_type": "create", "_index": when.strftime("apache-access-log-%Y-%m"), **document}


path, url = sys.argv[1:]
client = OpenSearch(url)
sent = 0
for ok, _ in helpers.parallel_bulk(client, documents(path), thread_count=2, chunk_size=5000):
    sent += ok
print(sent)
