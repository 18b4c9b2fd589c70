"""The types of the values that options of `loadgen-coord` take."""

from pathlib import Path

import click

from coordinator.embedded import AUTO
from coordinator.influx.receiver import LineReceiver, receiver_of
from coordinator.scrape import Watched
from coordinator.text import one_line
from loadgen.errors import PlanError
from loadgen.plan.compress import Compress, parse_compress
from loadgen.plan.feeder import Feeder
from loadgen.plan.feeder_file import feeder_of, with_rows
from loadgen.plan.params import NAME
from loadgen.plan.proxy import ProxyUrl
from loadgen.plan.request import request_mistakes
from loadgen.values import TARGET_MODES, base_of


class WatchedType(click.ParamType[Watched]):
    """A name and the URL of an exporter, from `NAME=URL`."""

    name = "name=url"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Watched:
        """Returns the name and the URL; fails when the name is empty or the URL is none."""
        try:
            return watched_of(str(value))
        except PlanError as error:
            self.fail(str(error), param, ctx)


def watched_of(text: str) -> Watched:
    """Returns the exporter of `NAME=URL`.

    Raises PlanError when the name is empty or the URL is none.
    """
    name, _, url = text.partition("=")
    if not name or base_of(url) is None:
        raise PlanError(
            f"{text!r} is not NAME=URL; write for example server=http://10.0.0.2:9100/metrics"
        )
    return Watched(one_line(name, 40), url)


class ReceiverType(click.ParamType[LineReceiver]):
    """A receiver of line protocol, from its URL."""

    name = "url"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> LineReceiver:
        """Returns the receiver; fails when the URL has no path, or can't be dialed."""
        try:
            return receiver_of(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class PairType(click.ParamType[tuple[str, str]]):
    """A name with its value, which no error repeats: it may be a password."""

    envvar_list_splitter = "\n"
    """One pair a line in the environment, since values have blanks."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Returns name and value; fails when they are no pair of this type."""
        if isinstance(value, tuple):
            return value
        try:
            return self.pair_in(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def pair_in(self, text: str) -> tuple[str, str]:
        """Returns the pair in a text; raises ValueError with the fix where there is none."""
        raise NotImplementedError


class HeaderType(PairType):
    """A header of the handshake, from `Name: value`."""

    name = "name: value"

    def pair_in(self, text: str) -> tuple[str, str]:
        """Returns name and value; raises ValueError when they can't be sent."""
        name, colon, value = text.partition(":")
        header = name.strip(), value.strip(" \t")
        if not colon:
            raise ValueError("a header needs a colon; write 'Name: value'")
        for _, what in request_mistakes([header]):
            raise ValueError(f"header {header[0]!r} {what}")
        return header


class ParamType(PairType):
    """A parameter of the plan, from `KEY=VALUE`."""

    name = "key=value"

    def pair_in(self, text: str) -> tuple[str, str]:
        """Returns name and value; raises ValueError without a name."""
        name, sign, value = text.partition("=")
        if not sign or not NAME.fullmatch(name):
            raise ValueError(
                "a parameter is KEY=VALUE, with a KEY of letters, digits and underscores; write for"
                " example room=lobby"
            )
        return name, value


class FeederType(click.ParamType[Feeder]):
    """A feeder from `FILE[:MODE]`."""

    name = "file[:mode]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Feeder:
        """Returns the feeder with its rows; fails when they can't be used."""
        if isinstance(value, Feeder):
            return value
        try:
            return with_rows(feeder_of(str(value)), Path())
        except PlanError as error:
            self.fail(str(error), param, ctx)


class CompressType(click.ParamType[Compress | bool]):
    """An offer of permessage-deflate, from its parameters."""

    name = "parameters"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Compress | bool:
        """Returns the offer; fails when a parameter can't be offered."""
        try:
            return value if isinstance(value, Compress | bool) else parse_compress(str(value))
        except PlanError as error:
            self.fail(str(error), param, ctx)


class ProxyType(click.ParamType[str]):
    """The URL of a proxy that targets are reached through."""

    name = "url"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Returns the URL; fails when it is none of a proxy, and shows no password."""
        try:
            ProxyUrl.parse(str(value))
        except PlanError as error:
            self.fail(f"the proxy {error}", param, ctx)
        return str(value)


class EmbeddedType(click.ParamType[str | None]):
    """The mode of the embedded target, or AUTO.

    For the environment variable it is a switch as well.
    """

    name = "mode"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | None:
        """Returns the mode, AUTO or None; fails for any other text."""
        text = str(value)
        if text in (AUTO, *TARGET_MODES):
            return text
        try:
            return AUTO if click.BOOL.convert(text, param, ctx) else None
        except click.BadParameter:
            self.fail(f"{text!r} is none of the modes {', '.join(TARGET_MODES)}", param, ctx)


WATCHED = WatchedType()
RECEIVER = ReceiverType()
HEADER = HeaderType()
PARAM = ParamType()
FEEDER = FeederType()
COMPRESS = CompressType()
PROXY = ProxyType()
EMBEDDED = EmbeddedType()
