"""Services on loopback that alerts are sent to: they check what they get as the real ones do, and answer as told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECRET = "SEC-of-the-tests"
OK = {"dingtalk": {"errcode": 0, "errmsg": "ok"}, "wecom": {"errcode": 0, "errmsg": "ok"}}
OK |= {"feishu": {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}}
BUSY = {"dingtalk": {"errcode": 130101, "errmsg": "send too fast"}, "wecom": {"errcode": 45009, "errmsg": "api freq"}}
BUSY |= {"feishu": {"code": 11232, "msg": "frequency limited"}}
REFUSED = {"dingtalk": {"errcode": 430102, "errmsg": "text"}, "wecom": {"errcode": 40058, "errmsg": "invalid"}}
REFUSED |= {"feishu": {"code": 9499, "msg": "Bad Request"}}
WRONG_SIGN = {
    "dingtalk": {"errcode": 310000, "errmsg": "sign not match"},
    "feishu": {"code": 19021, "msg": "sign match"},
}


@dataclass
class Robot:
    """A group robot. ``answers`` are used up one by one, then every message is taken; ``texts`` are those it took.

    An answer is ``ok``, ``busy``, ``refuse``, ``error`` (a code nobody knows), ``429``, ``500``, ``400`` (a busy code
    in a 400), ``nonsense``, ``stall``, ``drop`` or ``late`` (it takes the message and never says so).
    """

    service: str
    url: str
    answers: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    asked: int = 0
    refuses: Callable[[str], bool] = lambda _text: False
    _stop: threading.Event = field(default_factory=threading.Event)

    def judge(self, path: str, raw: bytes) -> tuple[int, bytes, dict[str, str]] | None:
        """Status, body and headers; None where the connection just ends."""
        self.asked += 1
        body = json.loads(raw)
        text = body["content"]["text"] if self.service == "feishu" else body["text"]["content"]
        if (wrong := self._check(path, body, text)) is not None:
            return 200, json.dumps(wrong).encode(), {}
        answer = self.answers.pop(0) if self.answers else "ok"
        if answer == "stall":
            self._stop.wait(30)
            return None
        if answer in ("drop", "late"):
            if answer == "late":
                self.texts.append(text)
            return None
        said = {"busy": BUSY, "refuse": REFUSED}.get(answer, {}).get(self.service)
        if answer == "refuse" or self.refuses(text):
            return 200, json.dumps(REFUSED[self.service]).encode(), {}
        if answer == "error":
            said = {"errcode": 300001, "errmsg": "token is not exist", "code": 19001, "msg": "param invalid"}
        if answer == "ok":
            self.texts.append(text)
            said = OK[self.service]
        status = {"429": 429, "500": 500, "400": 400}.get(answer, 200)
        if answer == "400":
            said = BUSY[self.service]
        headers = {"Retry-After": "120"} if answer == "429" else {}
        return status, b"<html>" if said is None else json.dumps(said).encode(), headers

    def _check(self, path: str, body: Any, text: str) -> Any:
        """What the service refuses whatever it is told to answer: a wrong signature, an overlong text."""
        asked = parse_qs(urlsplit(path).query)
        if self.service == "dingtalk":
            stamp = asked.get("timestamp", [""])[0]
            wanted = hmac.new(SECRET.encode(), f"{stamp}\n{SECRET}".encode(), hashlib.sha256).digest()
            if asked.get("sign") != [base64.b64encode(wanted).decode()] or asked.get("access_token") != ["t"]:
                return WRONG_SIGN["dingtalk"]
            return {"errcode": 460101, "errmsg": "too long"} if len(text.encode()) > 20_000 else None
        if self.service == "feishu":
            wanted = hmac.new(f"{body['timestamp']}\n{SECRET}".encode(), b"", hashlib.sha256).digest()
            if body["sign"] != base64.b64encode(wanted).decode():
                return WRONG_SIGN["feishu"]
            return REFUSED["feishu"] if len(json.dumps(body).encode()) > 40_000 else None
        return {"errcode": 40058, "errmsg": "too long"} if len(text.encode()) > 2048 else None


@contextmanager
def robot(service: str, *, tls: Path | None = None) -> Iterator[Robot]:
    """A robot that listens on loopback, with ``tls`` (a folder) behind a certificate that nobody knows."""
    found = Robot(service, "")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            answer = found.judge(self.path, raw)
            if answer is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, body, headers = answer
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_args: Any) -> None:
            pass  # a client that does not trust us hangs up

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = _behind_tls(server.socket, tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    port = server.server_address[1]
    paths = {"dingtalk": "/robot/send?access_token=t", "wecom": "/cgi-bin/webhook/send?key=k"}
    host = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    found.url = host + paths.get(service, "/open-apis/bot/v2/hook/h")
    try:
        yield found
    finally:
        found._stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _behind_tls(listening: socket.socket, folder: Path) -> ssl.SSLSocket:
    key, cert = folder / "key.pem", folder / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        [*made, "-keyout", key, "-out", cert, "-days", "1", "-subj", "/CN=127.0.0.1"], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context.wrap_socket(listening, server_side=True, do_handshake_on_connect=False)


def closed_port() -> int:
    """A port on loopback at which nobody listens."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@dataclass
class Post:
    """A mail server: ``answers`` to DATA are used up one by one, then every mail is taken."""

    port: int
    answers: list[str] = field(default_factory=list)
    mails: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's name)
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            part = mail.get_body(("plain",))
            self.mails.append((str(mail["Subject"]), part.get_content() if part else ""))
        return answer


@contextmanager
def mail_server() -> Iterator[Post]:
    """An SMTP server on loopback."""
    from aiosmtpd.controller import Controller

    post = Post(closed_port())
    controller = Controller(post, hostname="127.0.0.1", port=post.port)
    controller.start()
    try:
        yield post
    finally:
        with suppress(Exception):
            controller.stop()
