"""Group robots of DingTalk 钉钉, WeCom 企业微信, Feishu 飞书 and Lark: signed where asked, the body's code read.

All of them answer 200 to a message that they did not take; only the code in the body says so. A code
that is not known means that the channel, not the message, is in trouble: it is tried again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from dockd.alert.channels import Parcel, Undelivered
from dockd.settings import Channel

CONNECT_S, ANSWER_S = 5.0, 10.0
_WHOLE_S = 20.0  # a service that trickles its answer must not hold the others up
_ANSWER_MAX = 64 << 10

# DingTalk shuts a robot up for ten minutes that has said more than twenty things in one.
_TOO_FAST = {
    "dingtalk": {130101: 600, 410100: 600, 90030: 600, 88: 60, -1: 60},
    "wecom": {45009: 60, 45033: 60, -1: 60},
    "feishu": {11232: 60, 230020: 60, 2200: 60, 99991400: 60},
}
# The message itself: sent again it would be refused again.
_REFUSED = {
    "dingtalk": {40035, 400105, 430101, 430102, 430103, 430104, 460101},
    "wecom": {40008, 40058, 44004, 45002},
    "feishu": {9499, 230001, 230025},
}


def send_dingtalk(channel: Channel, parcel: Parcel, now: datetime) -> None:
    """To a DingTalk robot; ``secret`` signs (加签). Raises Undelivered."""
    url = channel.url or ""
    if channel.secret:
        stamp = str(round(now.timestamp() * 1000))
        key = channel.secret.encode()
        sign = base64.b64encode(hmac.new(key, f"{stamp}\n{channel.secret}".encode(), hashlib.sha256).digest())
        url = _with(url, timestamp=stamp, sign=sign.decode())
    _post("dingtalk", url, {"msgtype": "text", "text": {"content": parcel.text}}, ("errcode",))


def send_wecom(channel: Channel, parcel: Parcel, now: datetime) -> None:
    """To a WeCom robot. Raises Undelivered."""
    del now
    _post("wecom", channel.url or "", {"msgtype": "text", "text": {"content": parcel.text}}, ("errcode",))


def send_feishu(channel: Channel, parcel: Parcel, now: datetime) -> None:
    """To a Feishu or Lark robot; ``secret`` signs (签名校验). Raises Undelivered."""
    body: dict[str, Any] = {"msg_type": "text", "content": {"text": parcel.text}}
    if channel.secret:
        stamp = str(int(now.timestamp()))
        key = f"{stamp}\n{channel.secret}".encode()
        body |= {"timestamp": stamp, "sign": base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()}
    _post("feishu", channel.url or "", body, ("code", "StatusCode"))


def _with(url: str, **said: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *said.items()])))


def _post(service: str, url: str, body: Mapping[str, Any], codes: tuple[str, ...]) -> None:
    """Posts the body; returns when the service's own code says that it took it."""
    status, wait, answer = _ask(service, url, json.dumps(body, ensure_ascii=False).encode())
    code = next((answer[name] for name in codes if isinstance(answer.get(name), int)), None)
    if status == 200 and code == 0:
        return
    if code is not None and code in _TOO_FAST[service]:
        raise Undelivered(f"{service}: too fast ({code})", wait=wait or timedelta(seconds=_TOO_FAST[service][code]))
    if code is not None and code in _REFUSED[service]:
        raise Undelivered(f"{service}: refuses the message ({code})", refused=True)
    if status == 429:
        raise Undelivered(f"{service}: too fast (HTTP 429)", wait=wait or timedelta(minutes=1))
    if code:
        raise Undelivered(f"{service}: {code} {str(answer.get('errmsg') or answer.get('msg') or '')[:80]}".rstrip())
    if status == 200:
        raise Undelivered(f"{service}: an answer that says nothing", unsure=True)
    raise Undelivered(f"{service}: HTTP {status}", wait=wait, unsure=status >= 500)


def _ask(service: str, url: str, data: bytes) -> tuple[int, timedelta | None, Mapping[str, Any]]:
    """Status, what ``Retry-After`` asks for, and the body as an object. Raises Undelivered."""
    import httpx

    headers = {"Content-Type": "application/json; charset=utf-8"}
    end = time.monotonic() + _WHOLE_S
    try:
        with (
            httpx.Client(timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S), follow_redirects=False) as client,
            client.stream("POST", url, content=data, headers=headers) as response,
        ):
            raw = b""
            for some in response.iter_bytes():
                raw += some
                if len(raw) > _ANSWER_MAX or time.monotonic() > end:
                    break
            return response.status_code, _retry_after(response.headers.get("Retry-After")), _object(raw)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise Undelivered(f"{service}: {_why(error)}") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
        raise Undelivered(f"{service}: not an address") from error
    except httpx.HTTPError as error:
        # Once the request is on its way nobody knows what became of it.
        raise Undelivered(f"{service}: {type(error).__name__}", unsure=True) from error


def _why(error: Exception) -> str:
    text = str(error)
    known = ("CERTIFICATE_VERIFY_FAILED", "SSL", "refused", "Name or service not known", "unreachable")
    return next((word for word in known if word in text), type(error).__name__)


def _retry_after(value: str | None) -> timedelta | None:
    return timedelta(seconds=min(int(value), 3600)) if value and value.isdigit() else None


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
