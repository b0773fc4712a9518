"""Turn taking: who speaks when. A state machine without I/O or clocks; events carry milliseconds.

Theory of operation. Every 32 ms of the caller's audio arrives as a Window with Silero's speech
probability. Voice for `start_ms` opens an utterance: recognition starts and, while the bot has the
floor, its play-out pauses at once. The first window below the threshold asks the recogniser for
the text so far, about 60 ms after the last sound. Words take the floor from the bot (Interrupt)
and start a speculative answer (Speculate); a cough, an empty transcript or a backchannel gives the
floor back (ResumePlayout). Voice that goes on withdraws the speculation; the next silence asks for
the text again, and only a text that differs is thought about again. The turn ends (Confirm) after
`stop_ms` of silence when the turn model calls it complete, else after `incomplete_stop_ms`; a mere
courtesy ("Hello,", "Thank you,") in between, for a sentence often follows it. While held nothing is
heard and nobody is asked whether they are still there.

    idle ──voice──▶ speech ◀──voice──┐
      ▲               └──silence──▶ pause ──confirmed, or no words──▶ idle
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from tellerline import language
from tellerline.pipeline.turn_events import (
    Abandon,
    Action,
    CheckTurn,
    Confirm,
    Event,
    FinalizeRecognition,
    Held,
    Interrupt,
    KeyPressed,
    PausePlayout,
    PromptSilentCaller,
    RecognitionFailed,
    ResumePlayout,
    Speculate,
    StartRecognition,
    StopRecognition,
    Transcript,
    Unheld,
    Verdict,
    Window,
    Withdraw,
)
from tellerline.settings import CallLimits, TurnSettings

WINDOW_MS = 32
# Below this a window is silence. Silero's customary 0.35 is reached 110 ms after the last sound, 0.5 after
# 84-105 ms, with hardly more dips inside speech (26 lines of Piper and 30 recordings of people, 8 kHz).
SPEECH_PROBABILITY = 0.5
# A first syllable and the breath after it make no text; a bot that goes on at once is heard over the rest.
RESUME_SILENCE_MS = 300
# How often the words of a caller who talks over the bot are asked for again when they came to nothing.
OVERLAP_ASKS = 2
# Over the bot, a text the recogniser itself doubts is noise, unless it holds a word people interrupt with.
# Measured with tiny.en: "mm-hmm" comes out as "in my mom." at -1.0, "uh-huh" as "Oh" at -1.8; two words or
# more at -0.1 to -0.5; but "Wait." at -0.9 and "Cancel." at -1.6.
DOUBTFUL_LOGPROB = -0.95
# Speech over the bot this long asks for its words without waiting for a silence.
OVERLAP_RECOGNITION_MS = 480
# A comma's pause: people rest up to half a second between "Hello" and what they want.
COURTESY_STOP_MS = 550


class State(Enum):
    """Where the caller is in an utterance."""

    IDLE = auto()
    SPEECH = auto()
    PAUSE = auto()


def normalised(text: str) -> str:
    """`text` as compared between a speculation and its confirmation: words only, lower case."""
    return " ".join(language.words(text))


@dataclass
class _Utterance:
    """What is known of the utterance being heard."""

    bot_had_floor: bool = False
    # The caller has the floor: words were recognised.
    open: bool = False
    paused_at_ms: int | None = None
    last_sound_ms: int = 0
    # The finalisation that asks for the words of speech over the bot.
    overlap_sequence: int | None = None
    overlap_heard_nothing: bool = False
    overlap_asks: int = 0
    # The last text meant nothing; the bot goes on when the silence after it lasts.
    unheard: bool = False
    text: str | None = None
    speculated: str | None = None
    complete: bool | None = None


class TurnTaking:
    """The turn-taking state of one call. Feed events to `handle`; do what it yields, in order."""

    def __init__(self, turns: TurnSettings, limits: CallLimits, words: language.Language) -> None:
        self._settings = turns
        self._limits = limits
        self.words = words
        self._start_windows = max(1, round(turns.start_ms / WINDOW_MS))
        self.state = State.IDLE
        self._sequence = 0
        self._prompts = 0
        self._idle_since_ms: int | None = None
        self._voiced = 0
        self._deaf_until_silence = False
        self._held = False
        self._lost_to_hold = False
        self._utterance = _Utterance()

    @property
    def bot_may_echo(self) -> bool:
        """Whether soft sound may be the bot's echo: not while an utterance keeps the bot silent.

        Its soft syllables lie 20-30 dB below the bot's voice a moment before; taken for echo they are a
        silence in mid-sentence, which ended turns ("Can I ask? ...you something else.").
        """
        if self.state is State.IDLE:
            return True
        utterance = self._utterance
        return utterance.bot_had_floor and not utterance.open and utterance.paused_at_ms is None

    def handle(self, event: Event) -> list[Action]:
        """What to do now that `event` has happened."""
        match event:
            case Window():
                return [] if self._held else list(self._on_window(event))
            case Transcript():
                return list(self._on_transcript(event))
            case Verdict():
                return list(self._on_verdict(event))
            case RecognitionFailed():
                return list(self._on_recognition_failed())
            case KeyPressed():
                return list(self._on_key())
            case Held():
                return list(self._on_held())
            case Unheld():
                return list(self._on_unheld())

    # ---- windows

    def _on_window(self, window: Window) -> Iterator[Action]:
        voice = window.probability >= SPEECH_PROBABILITY
        if not voice:
            self._deaf_until_silence = False
        self._voiced = self._voiced + 1 if voice and not self._deaf_until_silence else 0
        step: Callable[[Window], Iterator[Action]] = {
            State.IDLE: self._while_idle,
            State.SPEECH: self._while_speech,
            State.PAUSE: self._while_pause,
        }[self.state]
        yield from step(window)

    def _while_idle(self, window: Window) -> Iterator[Action]:
        if self._voiced >= self._start_windows:
            self._utterance.bot_had_floor = window.bot_has_floor
            yield StartRecognition(window.at_ms - self._voiced * WINDOW_MS)
            if window.bot_has_floor:
                self._utterance.paused_at_ms = window.at_ms
                yield PausePlayout()
            self.state = State.SPEECH
            self._idle_since_ms = None
        elif window.bot_has_floor or window.caller_waits or self._voiced:
            self._idle_since_ms = None
        elif self._idle_since_ms is None:
            self._idle_since_ms = window.at_ms
        elif window.at_ms - self._idle_since_ms >= self._limits.silence_prompt_seconds * 1000:
            self._idle_since_ms = None
            self._prompts += 1
            yield PromptSilentCaller(last=self._prompts > self._limits.silence_prompts)

    def _while_speech(self, window: Window) -> Iterator[Action]:
        if window.probability < SPEECH_PROBABILITY:
            self.state = State.PAUSE
            self._utterance.last_sound_ms = window.at_ms - WINDOW_MS
            self._utterance.text = None
            self._utterance.complete = None
            yield self._finalize()
            return
        if self._utterance.paused_at_ms is None or self._utterance.open:
            return
        overlap_ms = window.at_ms - self._utterance.paused_at_ms
        due_ms = OVERLAP_RECOGNITION_MS * (1 + self._utterance.overlap_asks)
        if self._utterance.overlap_sequence is None and overlap_ms >= due_ms:
            self._utterance.last_sound_ms = window.at_ms
            finalize = self._finalize()
            self._utterance.overlap_sequence = finalize.sequence
            yield finalize
        elif self._utterance.overlap_heard_nothing and overlap_ms >= self._settings.resume_after_ms:
            # Long noise without words: the bot goes on over it, until a silence brings a text.
            self._utterance.paused_at_ms = None
            yield ResumePlayout()

    def _while_pause(self, window: Window) -> Iterator[Action]:
        if self._voiced >= self._start_windows:
            self.state = State.SPEECH
            self._utterance.text = None
            self._utterance.unheard = False
            if self._utterance.speculated is not None:
                self._utterance.speculated = None
                yield Withdraw()
            return
        silence_ms = window.at_ms - self._utterance.last_sound_ms
        if self._utterance.unheard and silence_ms >= RESUME_SILENCE_MS:
            yield from self._give_up("unheard")
            return
        if self._utterance.paused_at_ms is not None and silence_ms >= self._settings.resume_after_ms:
            self._utterance.paused_at_ms = None
            yield ResumePlayout()
        if self._utterance.text is None and silence_ms >= self._limits.turn_deadline_ms:
            # A recogniser that hangs tells nobody.
            yield from self._on_recognition_failed()
        yield from self._confirm_if_over(window.at_ms)

    def _finalize(self) -> FinalizeRecognition:
        self._sequence += 1
        return FinalizeRecognition(self._sequence)

    # ---- answers

    def _on_transcript(self, transcript: Transcript) -> Iterator[Action]:
        if transcript.sequence != self._sequence or self.state is State.IDLE:
            return
        means_something = self._means_something(transcript)
        if self.state is State.SPEECH:
            if transcript.sequence != self._utterance.overlap_sequence:
                return
            if means_something:
                yield from self._open_turn()
            elif self._utterance.overlap_asks < OVERLAP_ASKS:
                # Half a second of speech, cut in mid-word, is often no text yet: the next has more to go by.
                self._utterance.overlap_asks += 1
                self._utterance.overlap_sequence = None
            else:
                self._utterance.overlap_heard_nothing = True
            return
        silence_ms = transcript.at_ms - self._utterance.last_sound_ms
        if (
            not means_something
            and self._utterance.paused_at_ms is not None
            and silence_ms < RESUME_SILENCE_MS
        ):
            self._utterance.unheard = True
            return
        if not means_something:
            yield from self._give_up("unheard")
            return
        self._utterance.text = transcript.text
        yield from self._open_turn()
        if self._utterance.speculated is None or normalised(self._utterance.speculated) != normalised(
            transcript.text
        ):
            if self._utterance.speculated is not None:
                yield Withdraw()
            self._utterance.speculated = transcript.text
            yield Speculate(transcript.text)
        reads = self._reads_complete(transcript.text)
        if reads is None:
            yield CheckTurn(transcript.sequence)
        else:
            self._utterance.complete = reads
        yield from self._confirm_if_over(transcript.at_ms)

    def _on_verdict(self, verdict: Verdict) -> Iterator[Action]:
        if verdict.sequence == self._sequence and self.state is State.PAUSE:
            self._utterance.complete = verdict.complete
            yield from self._confirm_if_over(verdict.at_ms)

    def _on_recognition_failed(self) -> Iterator[Action]:
        if self.state is not State.IDLE:
            yield from self._give_up("failed")
            # A dead recogniser fails every utterance at once: one apology for each, not ten a second.
            self._deaf_until_silence = True

    def _on_key(self) -> Iterator[Action]:
        self._prompts = 0
        self._idle_since_ms = None
        if self.state is not State.IDLE:
            opened, speculated = self._utterance.open, self._utterance.speculated
            yield from self._end_utterance()
            if speculated is not None:
                yield Withdraw()
            if opened:
                yield Abandon("key")

    def _on_held(self) -> Iterator[Action]:
        self._held = True
        self._idle_since_ms = None
        if self.state is not State.IDLE:
            self._lost_to_hold = self._utterance.open
            yield from self._give_up("held")

    def _on_unheld(self) -> Iterator[Action]:
        lost, self._held, self._lost_to_hold = self._lost_to_hold, False, False
        self._voiced = 0
        self._prompts = 0
        self._idle_since_ms = None
        if lost:
            yield Abandon("unheard")

    # ---- parts

    def _means_something(self, transcript: Transcript) -> bool:
        heard = language.words(transcript.text)
        if not heard:
            return False
        follows_along = all(word in self.words.backchannels for word in heard)
        doubtful = transcript.avg_logprob < DOUBTFUL_LOGPROB and self.words.floor_words.isdisjoint(heard)
        return not (
            (follows_along or doubtful) and self._utterance.bot_had_floor and not self._utterance.open
        )

    def _reads_complete(self, text: str) -> bool | None:
        """What the words alone tell: a question mark ends a turn, a dangling word does not; else None.

        Saves the turn model's 65-115 ms of CPU while the language model wants it.
        """
        if language.words(text)[-1] in self.words.dangling:
            return False
        return True if text.rstrip().endswith("?") else None

    def _open_turn(self) -> Iterator[Action]:
        if not self._utterance.open:
            self._utterance.open = True
            self._utterance.paused_at_ms = None
            yield Interrupt()

    def _give_up(self, why: Literal["unheard", "failed", "held"]) -> Iterator[Action]:
        given_up = self._utterance
        yield from self._end_utterance()
        if given_up.paused_at_ms is not None:
            yield ResumePlayout()
        if given_up.speculated is not None:
            yield Withdraw()
        if given_up.open or why == "failed":
            yield Abandon(why)

    def _confirm_if_over(self, at_ms: int) -> Iterator[Action]:
        text = self._utterance.text
        if text is None:
            return
        silence_ms = at_ms - self._utterance.last_sound_ms
        over = silence_ms >= self._settings.incomplete_stop_ms or (
            self._utterance.complete is True and silence_ms >= self._stop_ms(text)
        )
        if over:
            self._prompts = 0
            yield from self._end_utterance()
            yield Confirm(text)

    def _stop_ms(self, text: str) -> int:
        courtesy = all(word in self.words.courtesies for word in language.words(text))
        return max(self._settings.stop_ms, COURTESY_STOP_MS) if courtesy else self._settings.stop_ms

    def _end_utterance(self) -> Iterator[Action]:
        yield StopRecognition()
        self.state = State.IDLE
        self._voiced = 0
        self._utterance = _Utterance()
