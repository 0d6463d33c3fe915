"""A Bot API server on this machine: the real library speaks to it over real connections.

It holds updates until a poll confirms them, lets the newer of two polls cut off the older, refuses what is too long,
badly marked up, unchanged, too fast or in the wrong chat, in Telegram's words, and fails when it is told to. People
write through `write`, `press` and `push`; tests wait on `until`, which looks again whenever something happens here.
"""

import asyncio
import itertools
import json
import re
import time
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from aiohttp import web

from tests.telegram.markup import CannotParse, read, units

TOKEN = "123456:AAbbCCddEEffGGhhIIjjKKllMMnnOOpp"
BOT = {"id": 123456, "is_bot": True, "first_name": "Desk", "username": "Whydesk_bot"}
ME = 42
GROUP = -100200
CHANNEL = -100900
PNG = b"\x89PNG\r\n\x1a\n"
_MOST = {"text": 4096, "caption": 1024}


class Answer(Exception):
    """A refusal of the API."""

    def __init__(self, code: int, text: str, **parameters: Any) -> None:
        super().__init__(text)
        self.code, self.text, self.parameters = code, text, parameters


class Fault(Enum):
    """How a request can go wrong on the way."""

    HANGS = "no answer"
    DROPPED_BEFORE = "the connection ends, nothing was done"
    DROPPED_AFTER = "it was done, then the connection ends"
    HTML = "a page instead of JSON, with status 502"
    EMPTY = "an answer without a result"
    STRANGE = "a result of another shape"


class Call(NamedTuple):
    """A request that arrived."""

    method: str
    args: dict[str, Any]


def person(number: int = ME, name: str = "Ann", **more: Any) -> dict[str, Any]:
    """A user as Telegram tells of one."""
    return {"id": number, "is_bot": False, "first_name": name} | more


def room(number: int) -> dict[str, Any]:
    """A chat: people have positive numbers."""
    if number > 0:
        return {"id": number, "type": "private", "first_name": f"chat {number}"}
    kind = "channel" if number == CHANNEL else "supergroup"
    return {"id": number, "type": kind, "title": f"group {number}"}


class BotServer:
    """One bot's side of Telegram."""

    def __init__(self) -> None:
        self.me: dict[str, Any] = BOT
        self.calls: list[Call] = []
        self.sent: list[dict[str, Any]] = []
        """Every message sent or edited, in order, as people see it."""
        self.shown: dict[tuple[int, int], dict[str, Any]] = {}
        self.parse_errors: list[str] = []
        self.too_long = 0
        self.conflicts = 0
        self.acknowledged: list[str] = []
        self.menus: dict[str, list[dict[str, str]]] = {}
        self.webhook = ""
        self.faults: list[tuple[str, Fault | Answer]] = []
        self.blocked: set[int] = set()
        self.unknown: set[int] = set()
        self.upgraded: dict[int, int] = {}
        self.topics: dict[int, set[int]] = {}
        self.burst, self.per_s = 0, 1.0
        """How many messages a chat takes at once, and then each second; 0 for any number."""
        self.waiting: list[dict[str, Any]] = []
        self.confirmed = 0
        self.polls = 0
        self._ids = itertools.count(1)
        self._updates = itertools.count(1)
        self._tokens: dict[int, tuple[float, float]] = {}
        self._poller: object = None
        self._news = asyncio.Event()
        self._port = 0

    async def __aenter__(self) -> "BotServer":
        app = web.Application(client_max_size=60 * 2**20)
        app.router.add_route("*", "/bot{token}/{method}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}"

    # --- what people and tests do

    def push(self, **update: Any) -> dict[str, Any]:
        """An update, as it is."""
        whole = {"update_id": next(self._updates)} | update
        self.waiting.append(whole)
        self._happened()
        return whole

    def message(self, text: str, chat: int = ME, **more: Any) -> dict[str, Any]:
        """A message as Telegram tells of one; commands and mentions in it are marked."""
        return {
            "message_id": next(self._ids),
            "date": int(time.time()),
            "chat": room(chat),
            "from": person(),
            "text": text,
            "entities": _entities(text),
        } | more

    def write(self, text: str, chat: int = ME, **more: Any) -> dict[str, Any]:
        """A person writes."""
        return self.push(message=self.message(text, chat, **more))

    def press(self, data: str, card: Mapping[str, Any] | None, **more: Any) -> dict[str, Any]:
        """A person presses a button of a message."""
        query = {
            "id": str(next(self._ids)),
            "from": person(),
            "chat_instance": "1",
            "data": data,
            "message": card,
        }
        return self.push(callback_query={k: v for k, v in (query | more).items() if v is not None})

    def fail(self, method: str, *faults: Fault | Answer) -> None:
        """The next requests of this method go wrong, one by one."""
        self.faults += [(method, fault) for fault in faults]

    async def until(self, what: Callable[[], Any], within_s: float = 10.0) -> Any:
        """Wait until it is so."""
        async with asyncio.timeout(within_s):
            while not (found := what()):
                await self._news.wait()
        return found

    def texts(self, chat: int = ME) -> list[str]:
        """What people in a chat have read, in order."""
        return [
            message.get("text", message.get("caption", ""))
            for message in self.sent
            if message["chat"]["id"] == chat
        ]

    def called(self, method: str) -> list[dict[str, Any]]:
        """The requests of one method."""
        return [call.args for call in self.calls if call.method == method]

    def _happened(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    # --- the API

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        args = await _arguments(request)
        self.calls.append(Call(method, args))
        try:
            if request.match_info["token"] != TOKEN:
                raise Answer(401, "Unauthorized")
            fault = self._fault(method)
            if fault is Fault.DROPPED_BEFORE:
                return _drop(request)
            if fault is Fault.HTML:
                return web.Response(status=502, text="<html>502 Bad Gateway</html>", content_type="text/html")
            if fault is Fault.HANGS:
                self._happened()
                await asyncio.Event().wait()
            if isinstance(fault, Answer):
                raise fault
            do = getattr(self, f"_do_{_snake(method)}", None)
            if do is None:
                raise Answer(404, "Not Found")
            result = await do(args)
            if fault is Fault.DROPPED_AFTER:
                return _drop(request)
            if fault is Fault.EMPTY:
                return web.json_response({"ok": True})
            return web.json_response({"ok": True, "result": [5] if fault is Fault.STRANGE else result})
        except Answer as no:
            body = {"ok": False, "error_code": no.code, "description": no.text}
            return web.json_response(
                body | ({"parameters": no.parameters} if no.parameters else {}), status=no.code
            )
        finally:
            self._happened()

    def _fault(self, method: str) -> Fault | Answer | None:
        for number, (of, fault) in enumerate(self.faults):
            if of == method:
                del self.faults[number]
                return fault
        return None

    async def _do_get_me(self, args: dict[str, Any]) -> dict[str, Any]:
        return self.me

    async def _do_delete_webhook(self, args: dict[str, Any]) -> bool:
        self.webhook = ""
        if args.get("drop_pending_updates") in (True, "true"):
            self.waiting.clear()
        return True

    async def _do_get_updates(self, args: dict[str, Any]) -> list[dict[str, Any]]:
        if self.webhook:
            raise Answer(
                409,
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete"
                " the webhook first",
            )
        offset = int(args.get("offset") or 0)
        self.waiting = [update for update in self.waiting if update["update_id"] >= offset]
        self.confirmed = max(self.confirmed, offset - 1)
        self.polls += 1
        poller = self._poller = object()
        self._happened()
        until = time.monotonic() + int(args.get("timeout") or 0)
        while not self.waiting and (left := until - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                break
            if self._poller is not poller:
                self.conflicts += 1
                raise Answer(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is"
                    " running",
                )
        return self.waiting[:100]

    async def _do_send_message(self, args: dict[str, Any]) -> dict[str, Any]:
        chat = self._admit(args)
        return self._keep(chat, args, {"text": self._words(args, "text")})

    async def _do_send_photo(self, args: dict[str, Any]) -> dict[str, Any]:
        chat = self._admit(args)
        return self._keep(chat, args, self._picture(args, args["photo"]))

    async def _do_edit_message_text(self, args: dict[str, Any]) -> dict[str, Any]:
        return self._edit(args, {"text": self._words(args, "text")})

    async def _do_edit_message_media(self, args: dict[str, Any]) -> dict[str, Any]:
        media = args["media"]
        return self._edit(args, self._picture(media, args[media["media"].removeprefix("attach://")]))

    async def _do_delete_message(self, args: dict[str, Any]) -> bool:
        if self.shown.pop((int(args["chat_id"]), int(args["message_id"])), None) is None:
            raise Answer(400, "Bad Request: message to delete not found")
        return True

    async def _do_answer_callback_query(self, args: dict[str, Any]) -> bool:
        if args["callback_query_id"] in self.acknowledged:
            raise Answer(
                400, "Bad Request: query is too old and response timeout expired or query ID is invalid"
            )
        self.acknowledged.append(args["callback_query_id"])
        return True

    async def _do_set_my_commands(self, args: dict[str, Any]) -> bool:
        for command in args["commands"]:
            name = command["command"]
            if not (name.replace("_", "a").isalnum() and name == name.lower() and len(name) <= 32):
                raise Answer(400, "Bad Request: BOT_COMMAND_INVALID")
            if not 1 <= len(command["description"]) <= 256:
                raise Answer(400, "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID")
        self.menus[_scope(args)] = args["commands"]
        return True

    async def _do_get_my_commands(self, args: dict[str, Any]) -> list[dict[str, str]]:
        return self.menus.get(_scope(args), [])

    # --- what it checks

    def _admit(self, args: dict[str, Any]) -> int:
        chat = int(args["chat_id"])
        if chat in self.unknown:
            raise Answer(400, "Bad Request: chat not found")
        if chat in self.blocked:
            raise Answer(403, "Forbidden: bot was blocked by the user")
        if chat in self.upgraded:
            raise Answer(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                migrate_to_chat_id=self.upgraded[chat],
            )
        topic = int(args.get("message_thread_id") or 0)
        if topic and topic not in self.topics.get(chat, {topic}):
            raise Answer(400, "Bad Request: message thread not found")
        reply = args.get("reply_parameters") or {}
        known = (chat, int(reply.get("message_id", 0))) in self.shown
        if reply and not known and not reply.get("allow_sending_without_reply"):
            raise Answer(400, "Bad Request: message to be replied not found")
        self._pace(chat)
        return chat

    def _pace(self, chat: int) -> None:
        if not self.burst:
            return
        now = time.monotonic()
        left, at = self._tokens.get(chat, (float(self.burst), now))
        left = min(float(self.burst), left + (now - at) * self.per_s)
        if left < 1:
            self._tokens[chat] = (left, now)
            wait = max(1, round((1 - left) / self.per_s))
            raise Answer(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
        self._tokens[chat] = (left - 1, now)

    def _words(self, args: Mapping[str, Any], kind: str) -> str:
        text = args.get(kind) or ""
        if args.get("parse_mode") == "HTML":
            try:
                text = read(text)
            except CannotParse as error:
                self.parse_errors.append(f"{error}: {text[:80]!r}")
                raise Answer(400, f"Bad Request: can't parse entities: {error}") from None
        text = text.strip()
        if kind == "text" and not text:
            raise Answer(400, "Bad Request: message text is empty")
        if units(text) > _MOST[kind]:
            self.too_long += 1
            raise Answer(400, f"Bad Request: message {'caption ' if kind == 'caption' else ''}is too long")
        return text

    def _picture(self, args: Mapping[str, Any], picture: bytes) -> dict[str, Any]:
        if not picture.startswith(PNG):
            raise Answer(400, "Bad Request: IMAGE_PROCESS_FAILED")
        name = f"photo{hash(picture)}"
        photo = {"file_id": name, "file_unique_id": name, "width": 1, "height": 1}
        return {"caption": self._words(args, "caption"), "photo": [photo]}

    def _keep(self, chat: int, args: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {
            "message_id": next(self._ids), "date": int(time.time()), "chat": room(chat), "from": BOT,
        } | content | _buttons(args)  # fmt: skip
        if topic := int(args.get("message_thread_id") or 0):
            message |= {"message_thread_id": topic, "is_topic_message": True}
        reply = args.get("reply_parameters")
        if reply and (chat, int(reply["message_id"])) in self.shown:
            message["reply_to_message"] = self.shown[chat, int(reply["message_id"])]
        self.shown[chat, message["message_id"]] = message
        self.sent.append(message)
        return message

    def _edit(self, args: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
        place = (int(args["chat_id"]), int(args["message_id"]))
        if place not in self.shown:
            raise Answer(400, "Bad Request: message to edit not found")
        old = self.shown[place]
        if ("photo" in old) != ("photo" in content):
            raise Answer(400, "Bad Request: there is no text in the message to edit")
        new = {key: value for key, value in old.items() if key != "reply_markup"} | content | _buttons(args)
        if new == old:
            raise Answer(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly"
                " the same as a current content and reply markup of the message",
            )
        self.shown[place] = new
        self.sent.append(new)
        return new


def _buttons(args: Mapping[str, Any]) -> dict[str, Any]:
    rows = (args.get("reply_markup") or {}).get("inline_keyboard", [])
    for row in rows:
        for button in row:
            if not 1 <= len(button["callback_data"].encode()) <= 64:
                raise Answer(400, "Bad Request: BUTTON_DATA_INVALID")
            if not button["text"].strip():
                raise Answer(400, "Bad Request: BUTTON_TEXT_INVALID")
    return {"reply_markup": {"inline_keyboard": rows}} if rows else {}


def _entities(text: str) -> list[dict[str, Any]]:
    found, at = [], 0
    for word in text.split(" "):
        if word.startswith("/") and at == 0:
            found.append({"type": "bot_command", "offset": 0, "length": units(word)})
        elif word.startswith("@"):
            name = word.rstrip(",:;.?!")
            found.append({"type": "mention", "offset": units(text[:at]), "length": units(name)})
        at += len(word) + 1
    return found


def _scope(args: Mapping[str, Any]) -> str:
    scope = args.get("scope") or {}
    return str(scope.get("chat_id") or scope.get("type", "default"))


def _snake(method: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", method).lower()


def _drop(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _arguments(request: web.Request) -> dict[str, Any]:
    args: dict[str, Any] = dict(request.query)
    for key, value in (await request.post()).items():
        args[key] = value.file.read() if isinstance(value, web.FileField) else value
    for key in ("reply_markup", "commands", "allowed_updates", "media", "reply_parameters", "scope"):
        if isinstance(args.get(key), str):
            args[key] = json.loads(args[key])
    return args
