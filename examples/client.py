"""Sends a message so that it arrives once, or says why it does not. Python 3.9 or newer, nothing else.

    SERVICE_URL=http://127.0.0.1:3000 TOKEN=... python3 client.py <receiver's id> <text> [<key>]
"""

import http.client
import json
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any, Callable, NamedTuple, Optional

# The codes after which the same request, with the same key, may go through. Nothing is ever stored twice by that.
REPEATED_CODES = frozenset(
    {
        "REQUEST_TIMEOUT",
        "REQUEST_IN_PROGRESS",
        "RATE_LIMITED",
        "MEDIA_PROMOTION_FAILED",
        "INTERNAL_ERROR",
        "OVERLOADED",
        "DATABASE_UNAVAILABLE",
        "TOKEN_KEYS_UNAVAILABLE",
        "SHUTTING_DOWN",
    }
)

# For answers without a code that this client knows: a proxy's, or a later version's.
REPEATED_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504})

# The service answers within 18 s of the last byte.
TRY_SECONDS = 20.0

# A lost packet costs little, an outage of minutes a few tries; clients that failed together do not come back together.
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 15.0


class Outcome(NamedTuple):
    """`sent`: `message` is stored. `refused`: nothing is, and the same request would be refused again.

    `unknown`: no final answer in time, the message may be stored. Keep it with its key, and send both again later.
    """

    kind: str
    message: Optional[dict[str, Any]] = None
    replayed: bool = False
    status: int = 0
    refusal: Optional[dict[str, Any]] = None


class _Answer(NamedTuple):
    status: int
    headers: Any
    body: Any


def send(
    base_url: str,
    token: Callable[[str], str],
    to: str,
    draft: dict[str, Any],
    key: str,
    deadline_seconds: float = 60.0,
    wait: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Sends one message, with as many tries as it takes until the deadline.

    `token("current")` gives the token in hand; `token("expired")` says that this one has expired, and gets another.
    `key` is made once for a message that somebody has composed, and kept with it until there is an outcome.
    """
    ends_at = time.monotonic() + deadline_seconds
    bearer = token("current")
    is_renewed = False
    last: Optional[dict[str, Any]] = None
    repeats = 0
    while True:
        limit = min(TRY_SECONDS, max(0.001, ends_at - time.monotonic()))
        answer = _ask(base_url, bearer, to, draft, key, limit)
        if answer and answer.status == 200:
            replayed = answer.headers.get("Idempotent-Replayed") == "true"
            return Outcome("sent", answer.body["data"], replayed, 200)
        refusal = answer.body if answer and _is_refusal(answer.body) else None
        last = refusal or last
        code = refusal["code"] if refusal else None
        if code == "TOKEN_EXPIRED" and not is_renewed:
            bearer = token("expired")
            is_renewed = True
            continue
        if answer and not (code in REPEATED_CODES or answer.status in REPEATED_STATUSES):
            return Outcome("refused", status=answer.status, refusal=refusal)
        # At least as long as the service asks for, and longer from one repeat to the next.
        back_off = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**repeats)
        pause = _retry_after(answer) + back_off * random.uniform(0.5, 1)
        repeats += 1
        if time.monotonic() + pause >= ends_at:
            return Outcome("unknown", refusal=last)
        wait(pause)


def _ask(
    base_url: str, bearer: str, to: str, draft: dict[str, Any], key: str, limit: float
) -> Optional[_Answer]:
    """None: no whole answer. The request may have arrived all the same, so only a repeat with its key can tell."""
    request = urllib.request.Request(
        f"{base_url}/message/send/{urllib.parse.quote(to, safe='')}",
        data=json.dumps(draft).encode(),
        headers={
            "Authorization": f"Bearer {bearer}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        },
    )
    try:
        try:
            response = urllib.request.urlopen(request, timeout=limit)
        except urllib.error.HTTPError as refused:
            response = refused
        with response:
            text = response.read()
            # A proxy on the way answers with a page of its own; a 200 without JSON is no answer of the service's.
            body = json.loads(text) if response.status == 200 else _json_or_none(text)
            return _Answer(response.status, response.headers, body)
    except (OSError, http.client.HTTPException, ValueError):
        return None


def _is_refusal(body: Any) -> bool:
    return isinstance(body, dict) and "code" in body


def _json_or_none(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _retry_after(answer: Optional[_Answer]) -> float:
    """The service sends seconds; a proxy may send a date, for which the pauses of our own must do."""
    value = answer.headers.get("Retry-After", "") if answer else ""
    return float(value) if value.isdigit() else 0.0


if __name__ == "__main__":
    receiver, content, *given_key = sys.argv[1:]
    outcome = send(
        os.environ["SERVICE_URL"],
        lambda state: os.environ["TOKEN"],
        receiver,
        {"content": content, "type": "text"},
        given_key[0] if given_key else str(uuid.uuid4()),
    )
    print(json.dumps(outcome._asdict(), indent=2, ensure_ascii=False))
    sys.exit(0 if outcome.kind == "sent" else 1)
