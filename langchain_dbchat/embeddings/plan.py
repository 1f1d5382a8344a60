"""Plan an embedding run: which texts are sent next, and what an outcome means. Nothing is sent here.

The loop in `workers` takes batches from `next`, sends several at the same time, and gives each outcome to `take`, in
any order. `finish` raises what went wrong.

Rule 1. A batch is as large as the caller, the byte and token limits and the known limit of the endpoint allow, in the
order of the texts. Batches are made one by one, when one can be sent, so a run contains only those in flight.
Rule 2. A refusal of the request's size splits the batch and is remembered for the endpoint, for all its users.
Rule 3. A refusal of something within is narrowed down by halves until one text is left, which fails; the others do not.
If nothing at all has succeeded by the third such text, the cause is in the call, and the run stops.
Rule 4. A text that is too long is refused or cut, as the caller chose (`lengths` says how that is known).
Rule 5. Overload that outlasted its retries is tried again as long as other batches succeed; if none did meanwhile, the
run stops. Other failures of the server are narrowed down like rule 3, because a text may cause them; after the third in
a row the run stops.
Rule 6. A row that is not an embedding (NaN, another length) is the failure of its text; the other rows of the answer
are kept. After three answers in a row without a single embedding the run stops.
Rule 7. Any other error (no permission, no such endpoint, a malformed answer) stops the run. What has succeeded until
then is in the error.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic_core import PydanticSerializationError, to_json

from langchain_dbchat.connection.endpoints import RequestLimit, endpoint_of
from langchain_dbchat.dialects.shared.request.refusals import named_field
from langchain_dbchat.embeddings.lengths import cut_to_words, least_tokens, most_tokens, shorten
from langchain_dbchat.embeddings.refusals import RefusalCause, cause_of, incomplete, named_limit
from langchain_dbchat.embeddings.wire import token_count
from langchain_dbchat.errors import (
    DatabricksContextOverflowError,
    DatabricksError,
    DatabricksInvalidRequestError,
    MalformedResponseError,
    UnsupportedContentError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_dbchat.embeddings.rows import RowArray, RowList
    from langchain_dbchat.embeddings.wire import BatchResult, Vector

__all__ = ["Batch", "Plan", "Rules"]

logger = logging.getLogger(__name__)

_MOST_FAILURES = 3  # in a row, or bad texts without a good one, after which a run stops
_MARGIN = 2  # how much more an estimate may be wrong for one text than for its batch


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run must observe.

    Attributes:
        host: The host, for errors.
        endpoint: The endpoint's name.
        batch_size: Texts in one request.
        max_bytes: Bytes of the texts of one request, as JSON.
        max_tokens: Tokens of one request, as estimated; None for no budget.
        window: Tokens that the model reads of one text; None if that is not known.
        cuts_silently: Whether the server cuts longer texts and does not say so.
        too_long: What to do with them.
        instruction: What the server puts before every text.
        fields: Names of the request's fields besides the texts.
        address: Address of the endpoint, with its path, under which its limit is kept; unset, the host.
    """

    host: str
    endpoint: str
    batch_size: int
    max_bytes: int
    max_tokens: int | None = None
    window: int | None = None
    cuts_silently: bool = False
    too_long: Literal["raise", "cut"] = "raise"
    instruction: str = ""
    fields: frozenset[str] = frozenset()
    address: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Return the address and the endpoint, under which its limit is kept."""
        return self.address or self.host, self.endpoint


@dataclass(frozen=True, slots=True)
class _Item:
    """One text as it is sent: its place, its bytes as JSON, its most tokens, and whether it is sent alone."""

    index: int
    text: str
    size: int
    most: int
    alone: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that are sent together.

    Attributes:
        items: The texts.
        began: How many answers had come when it was made.
    """

    items: list[_Item]
    began: int

    @property
    def texts(self) -> list[str]:
        """Return the texts in order."""
        return [item.text for item in self.items]

    @property
    def indices(self) -> list[int]:
        """Return their places among all texts."""
        return [item.index for item in self.items]

    @property
    def size(self) -> int:
        """Return their size in bytes."""
        return sum(item.size for item in self.items)


class Plan:
    """The plan of one run.

    Args:
        texts: The texts.
        rules: What the run must observe.
        rows: Where rows are kept.
    """

    def __init__(self, texts: Sequence[str], rules: Rules, rows: RowList | RowArray) -> None:
        self._texts = texts
        self._rules = rules
        self._rows = rows
        self._cursor = 0
        self._again: deque[list[int]] = deque()
        self._cut: dict[int, str] = {}
        self._ask_alone: set[int] = set()
        self._stopped: Exception | None = None
        self._answers = 0
        self._failed_in_a_row = 0
        self._refused_texts = 0
        self._accepted = (0, 0)
        self.failures: dict[int, Exception] = {}
        self.settled = 0

    def next(self) -> Batch | None:
        """Make the next batch.

        Returns:
            The batch; None if there is nothing to send until another outcome is taken.
        """
        while self._stopped is None:
            if self._again:
                items = [item for item in map(self._measure, self._again.popleft()) if item is not None]
            elif self._cursor < len(self._texts):
                items = self._gather()
            else:
                return None
            if items:
                return Batch(items, self._answers)
        return None

    def take(self, batch: Batch, outcome: BatchResult | Exception) -> None:
        """Take the outcome of a batch.

        Args:
            batch: The batch.
            outcome: Its rows, or what is wrong with them, and the usage; or the error, after all retries.
        """
        if isinstance(outcome, DatabricksError):
            self._refused(batch, outcome)
        elif isinstance(outcome, Exception):
            self._stop(outcome)
        else:
            self._answered(batch, outcome)

    def finish(self, failures: dict[int, Exception] | None = None) -> None:
        """End the run.

        Args:
            failures: Where to put the errors of texts that failed; None to raise them.

        Raises:
            DatabricksError: If the run was stopped, or texts failed.
        """
        if self._cut:
            logger.warning("%s: cut %d texts that are too long", self._rules.endpoint, len(self._cut))
        if self._stopped is not None and not self._answers:
            raise self._stopped
        if self._stopped is None and (failures is not None or not self.failures):
            if failures is not None:
                failures.update(sorted(self.failures.items()))
            return
        cause = self._stopped or self.failures[min(self.failures)]
        if len(self._texts) == 1:
            raise cause
        raise incomplete(
            cause,
            self.failures,
            self._rows.rows,
            total=len(self._texts),
            done=None if self._stopped is None else self.settled - len(self.failures),
            endpoint=self._rules.endpoint,
            host=self._rules.host,
        ) from cause

    def _gather(self) -> list[_Item]:
        """Fill a batch with the texts at the cursor; texts that are sent alone are queued for the next batches."""
        rules, known = self._rules, endpoint_of(*self._rules.key).limit
        count = min(rules.batch_size, known.inputs or rules.batch_size)
        room = min(rules.max_bytes, known.size or rules.max_bytes)
        tokens = rules.max_tokens
        items: list[_Item] = []
        while self._cursor < len(self._texts) and len(items) < count:
            item = self._measure(self._cursor)
            if item is not None and item.alone:
                self._again.append([item.index])
            elif item is not None:
                room -= item.size
                tokens = None if tokens is None else tokens - item.most
                if items and (room < 0 or (tokens is not None and tokens < 0)):
                    break
                items.append(item)
            self._cursor += 1
        return items

    def _measure(self, index: int) -> _Item | None:
        """Measure a text; if it cannot be sent, note its failure and return None."""
        rules, text = self._rules, self._cut.get(index, self._texts[index])
        try:
            size = len(to_json(text)) + 1
        except PydanticSerializationError:
            self._fail(index, UnsupportedContentError(f"Text {index} contains a character that is not Unicode."))
            return None
        # Every token has at least one byte, so most texts need no closer look.
        most, window = size + 2 * len(rules.instruction), rules.window
        if rules.max_tokens is not None or (window is not None and most > window):
            most = most_tokens(text) + (most_tokens(rules.instruction) if rules.instruction else 0)
        alone = index in self._ask_alone
        if window is not None and most > window:
            words = least_tokens(text)
            if rules.too_long == "raise" and words > window:
                self._fail(index, self._too_long(index, f"it has {words:,} words"))
                return None
            shorter = cut_to_words(text, window)
            if rules.too_long == "cut" and len(shorter) < len(text):
                self._cut[index] = shorter
                return self._measure(index)
            alone = rules.too_long == "raise" or not rules.cuts_silently
        if size > rules.max_bytes:
            self._fail(index, self._too_large(index, size))
            return None
        return _Item(index, text, size, most, alone)

    def _answered(self, batch: Batch, result: BatchResult) -> None:
        rows, usage = result
        refused = [error for index, row in zip(batch.indices, rows, strict=True) if (error := self._keep(index, row))]
        if len(refused) == len(rows):
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= _MOST_FAILURES:
                self._stop(refused[0])
            return
        self._answers += 1
        self._failed_in_a_row = 0
        accepted, size = self._accepted
        self._accepted = max(accepted, len(batch.items)), max(size, batch.size)
        doubtful = self._doubtful(batch, token_count(usage.get("prompt_tokens")))
        self.settled += len(batch.items) - len(refused) - doubtful

    def _keep(self, index: int, row: Vector | MalformedResponseError) -> MalformedResponseError | None:
        """Keep a row, or note that its text failed."""
        try:
            if isinstance(row, MalformedResponseError):
                raise row
            self._rows.put(index, row)
        except MalformedResponseError as error:
            self._fail(index, error)
            return error
        return None

    def _doubtful(self, batch: Batch, tokens: int | None) -> int:
        """Check whether the server cut a text silently; return how many texts are not settled because of that."""
        rules, window = self._rules, self._rules.window
        if window is None or not rules.cuts_silently or rules.too_long == "cut":
            return 0
        if len(batch.items) == 1 and batch.items[0].alone:
            index, counted = batch.items[0].index, batch.items[0].most if tokens is None else tokens
            if counted < window:
                return 0
            self._rows.drop(index)
            self._fail(index, self._too_long(index, f"the endpoint counted {counted:,} tokens and read no further"))
            return 1
        estimated = sum(item.most for item in batch.items)
        if tokens is None or tokens <= estimated:
            return 0
        # The estimate was too low, so a text may have been cut. It may be wrong for one text more than on average.
        kept = [item for item in batch.items if item.index not in self.failures]
        again = [item.index for item in kept if _MARGIN * item.most * tokens > window * estimated]
        self._ask_alone.update(again)
        self._again.extend([index] for index in again)
        return len(again)

    def _refused(self, batch: Batch, error: DatabricksError) -> None:
        cause, count = cause_of(error), len(batch.items)
        fields = {"input": batch.texts, **dict.fromkeys(self._rules.fields)}
        if cause is RefusalCause.TEXT and named_field(error.detail or error.message, fields) not in {None, "input"}:
            cause = RefusalCause.CALL
        if cause is RefusalCause.CALL or (cause is RefusalCause.LOAD and self._answers == batch.began):
            self._stop(error)
        elif cause is RefusalCause.LOAD:
            self._again.append(batch.indices)
        elif cause is RefusalCause.SERVER:
            self._narrow_down_failure(batch, error)
        elif count == 1:
            self._refused_alone(batch.items[0], error, cause)
        elif cause is RefusalCause.COUNT:
            limit = named_limit(error, count)
            self._learn_limit(RequestLimit(inputs=limit))
            self._split(batch, limit)
        else:
            if cause is RefusalCause.SIZE:
                self._learn_limit(RequestLimit(size=named_limit(error, batch.size)))
            self._split(batch, (count + 1) // 2)

    def _refused_alone(self, item: _Item, error: DatabricksError, cause: RefusalCause) -> None:
        if cause is RefusalCause.LENGTH and self._rules.too_long == "cut":
            shorter = shorten(item.text, error.detail or error.message)
            if shorter:
                self._cut[item.index] = shorter
                self._again.appendleft([item.index])
                return
        self._refused_texts += 1
        self._fail(item.index, error)
        if not self._answers and self._refused_texts >= _MOST_FAILURES:
            self._stop(error)

    def _narrow_down_failure(self, batch: Batch, error: DatabricksError) -> None:
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _MOST_FAILURES:
            self._stop(error)
        elif len(batch.items) == 1:
            self._fail(batch.items[0].index, error)
        else:  # at the end of the queue, so that the good half shows that the server works
            middle = (len(batch.items) + 1) // 2
            self._again.extend([batch.indices[:middle], batch.indices[middle:]])

    def _split(self, batch: Batch, size: int) -> None:
        indices = batch.indices
        parts = [indices[start : start + size] for start in range(0, len(indices), size)]
        self._again.extendleft(reversed(parts))

    def _learn_limit(self, limit: RequestLimit) -> None:
        """Remember a limit, unless more was accepted in this run, because then the refusal was about something else."""
        rules, (accepted, accepted_size) = self._rules, self._accepted
        if (limit.inputs or 0) > accepted or (limit.size or 0) > accepted_size:
            known = endpoint_of(*rules.key)
            known.limit = known.limit.lowered(limit)
            logger.info("%s: takes at most %s in one request", rules.endpoint, known.limit)

    def _fail(self, index: int, error: Exception) -> None:
        self.failures[index] = error
        self.settled += 1

    def _stop(self, error: Exception) -> None:
        self._stopped = self._stopped or error

    def _too_long(self, index: int, why: str) -> DatabricksContextOverflowError:
        rules = self._rules
        return DatabricksContextOverflowError(
            f"Text {index} is longer than what {rules.endpoint!r} reads, {rules.window:,} tokens: {why}.\n"
            '  What to do: Split it (langchain-text-splitters), or let it be cut with too_long="cut".',
            endpoint=rules.endpoint,
            host=rules.host,
        )

    def _too_large(self, index: int, size: int) -> DatabricksInvalidRequestError:
        rules = self._rules
        return DatabricksInvalidRequestError(
            f"Text {index} has {size:,} bytes, and a request to {rules.endpoint!r} takes {rules.max_bytes:,}.\n"
            "  What to do: Split it; model serving takes 4 MB in one request (max_batch_bytes).",
            endpoint=rules.endpoint,
            host=rules.host,
        )
