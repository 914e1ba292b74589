"""Checks AWS signatures before a real node, with AWS's own signer (botocore).

Usage: sigv4_verifier.py NODE-URL

Listens on a free port of 127.0.0.1, prints its URL, and ends when standard input does. Each request's signature is computed
anew from what arrived, by botocore, and compared; what is right goes on to the node without it. Refusals bear the
services' own words. What it is told, and tells, over HTTP:

  PUT /__rules        {"service", "region", "keys": [{"id", "secret", "token"}], "lend_seconds", "skew_seconds", "tamper",
                      "no_query"}; what is left out goes back to its default
  GET /__seen         how many requests were accepted and refused, how many bodies were gzip, which keys and which paths came
  GET /__credentials  lends new keys for "lend_seconds", as a container's agent does; they are accepted until then
"""

import hashlib
import json
import sys
import threading
from datetime import datetime, timedelta, timezone
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NODE = urlsplit(sys.argv[1])
STAMP = "%Y%m%dT%H%M%SZ"
SKEW_MAX = timedelta(minutes=5)
DEFAULT = {
    "service": "es",
    "region": "eu-west-1",
    "keys": [],
    "lend_seconds": 3600,
    "skew_seconds": 0,
    "tamper": False,
    "no_query": False,
}

lock = threading.Lock()
rules = dict(DEFAULT)
lent = {}  # id -> (secret, token, end)
seen = {"accepted": 0, "refused": 0, "gzip": 0, "paths": [], "keys": []}


class Refused(Exception):
    pass


def now():
    return datetime.now(timezone.utc) + timedelta(seconds=rules["skew_seconds"])


def keys_of(access_key):
    for key in rules["keys"]:
        if key["id"] == access_key:
            return key["secret"], key.get("token"), None
    return lent.get(access_key)


def check(method, path, headers, body):
    """Raises what AWS would say of it; gives the access key."""
    given = headers.get("authorization", "")
    if not given.startswith("AWS4-HMAC-SHA256 "):
        raise Refused("Missing Authentication Token")
    parts = dict(part.strip().split("=", 1) for part in given[len("AWS4-HMAC-SHA256 "):].split(","))
    access_key, day, region, service, end = parts["Credential"].split("/")
    if (region, service, end) != (rules["region"], rules["service"], "aws4_request"):
        raise Refused("Credential should be scoped to a valid region.")
    known = keys_of(access_key)
    token = headers.get("x-amz-security-token")
    if known is None or known[1] != token:
        raise Refused("The security token included in the request is invalid.")
    if known[2] is not None and known[2] < datetime.now(timezone.utc):
        raise Refused("The security token included in the request is expired")
    stamp = headers["x-amz-date"]
    signed_at = datetime.strptime(stamp, STAMP).replace(tzinfo=timezone.utc)
    if signed_at < now() - SKEW_MAX:
        oldest = (now() - SKEW_MAX).strftime(STAMP)
        raise Refused(f"Signature expired: {stamp} is now earlier than {oldest} ({now().strftime(STAMP)} - 5 min.)")
    if signed_at > now() + SKEW_MAX:
        newest = (now() + SKEW_MAX).strftime(STAMP)
        raise Refused(f"Signature not yet current: {stamp} is still later than {newest}")
    names = parts["SignedHeaders"].split(";")
    if "host" not in names or names != sorted(names):
        raise Refused("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    if any(name.startswith("x-amz-") and name not in names for name in headers):
        raise Refused("There were headers present in the request which were not signed")
    digest = hashlib.sha256(body).hexdigest()
    if rules["service"] == "aoss" and (headers.get("x-amz-content-sha256") != digest or "content-length" in names):
        raise Refused("Forbidden")
    url = f"http://{headers['host']}{path}"
    wanted = {name: headers[name] for name in names if name not in ("x-amz-date", "x-amz-security-token")}
    request = AWSRequest(method=method, url=url, headers=wanted, data=body)
    request.context["timestamp"] = stamp
    signer = SigV4Auth(Credentials(access_key, known[0], known[1]), service, region)
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    computed = signer.signature(signer.string_to_sign(request, canonical), request)
    if computed != parts["Signature"]:
        raise Refused(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
            "Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this "
            f"request should have been\n'{canonical}'\n"
        )
    return access_key


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, content_type="application/json"):
        self.send_response_only(status)
        self.send_header("Date", format_date(now()))
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/__"):
            return self.answer(200, json.dumps(told(self.path, body)).encode())
        headers = {name.lower(): " ".join(value.split()) for name, value in self.headers.items()}
        if rules["tamper"] and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        try:
            access_key = check(self.command, self.path, headers, body)
        except Refused as refused:
            with lock:
                seen["refused"] += 1
            return self.answer(403, json.dumps({"message": str(refused)}).encode())
        with lock:
            seen["accepted"] += 1
            seen["gzip"] += headers.get("content-encoding") == "gzip"
            if access_key not in seen["keys"]:
                seen["keys"].append(access_key)
            if self.path not in seen["paths"]:
                seen["paths"].append(self.path)
        path = self.path.split("?")[0] if rules["no_query"] else self.path
        onward = {name: headers[name] for name in ("content-type", "content-encoding") if name in headers}
        node = HTTPConnection(NODE.hostname, NODE.port, timeout=120)
        try:
            node.request(self.command, path, body, onward)
            answer = node.getresponse()
            self.answer(answer.status, answer.read(), answer.headers.get("Content-Type", "text/plain"))
        finally:
            node.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one


def told(path, body):
    with lock:
        if path == "/__rules":
            rules.clear()
            rules.update(DEFAULT, **json.loads(body))
            return {}
        if path == "/__seen":
            return seen
        if path == "/__credentials":
            n = len(lent) + 1
            end = datetime.now(timezone.utc) + timedelta(seconds=rules["lend_seconds"])
            lent[f"ASIALENT{n}"] = (f"lent-secret-{n}", f"lent-token-{n}", end)
            return {
                "AccessKeyId": f"ASIALENT{n}",
                "SecretAccessKey": f"lent-secret-{n}",
                "Token": f"lent-token-{n}",
                "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
    raise ValueError(path)


def format_date(moment):
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        # A client that ends leaves its connections as they are.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
