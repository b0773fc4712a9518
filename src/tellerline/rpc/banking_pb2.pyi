from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Refusal(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_NONE: _ClassVar[Refusal]
    NOT_AUTHENTICATED: _ClassVar[Refusal]
    STALE: _ClassVar[Refusal]
    LIMIT_PER_CALL: _ClassVar[Refusal]
    LIMIT_PER_DAY: _ClassVar[Refusal]
    NOT_FOUND: _ClassVar[Refusal]
    INSUFFICIENT_FUNDS: _ClassVar[Refusal]
    CLOSED: _ClassVar[Refusal]
    TOKEN_REFUSED: _ClassVar[Refusal]
    REFUSED_BY_BANK: _ClassVar[Refusal]
REFUSAL_NONE: Refusal
NOT_AUTHENTICATED: Refusal
STALE: Refusal
LIMIT_PER_CALL: Refusal
LIMIT_PER_DAY: Refusal
NOT_FOUND: Refusal
INSUFFICIENT_FUNDS: Refusal
CLOSED: Refusal
TOKEN_REFUSED: Refusal
REFUSED_BY_BANK: Refusal

class SecretRequest(_message.Message):
    __slots__ = ("call_id", "purpose", "digits", "caller", "padding")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    DIGITS_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    purpose: str
    digits: bytes
    caller: str
    padding: bytes
    def __init__(self, call_id: _Optional[str] = ..., purpose: _Optional[str] = ..., digits: _Optional[bytes] = ..., caller: _Optional[str] = ..., padding: _Optional[bytes] = ...) -> None: ...

class SecretReply(_message.Message):
    __slots__ = ("outcome",)
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[SecretReply.Outcome]
        ACCEPTED: _ClassVar[SecretReply.Outcome]
        REJECTED: _ClassVar[SecretReply.Outcome]
        UNAVAILABLE: _ClassVar[SecretReply.Outcome]
    OUTCOME_UNSPECIFIED: SecretReply.Outcome
    ACCEPTED: SecretReply.Outcome
    REJECTED: SecretReply.Outcome
    UNAVAILABLE: SecretReply.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: SecretReply.Outcome
    def __init__(self, outcome: _Optional[_Union[SecretReply.Outcome, str]] = ...) -> None: ...

class Money(_message.Message):
    __slots__ = ("minor_units", "currency")
    MINOR_UNITS_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    minor_units: int
    currency: str
    def __init__(self, minor_units: _Optional[int] = ..., currency: _Optional[str] = ...) -> None: ...

class CallRequest(_message.Message):
    __slots__ = ("call_id", "turn_id", "speculative")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    SPECULATIVE_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    turn_id: int
    speculative: bool
    def __init__(self, call_id: _Optional[str] = ..., turn_id: _Optional[int] = ..., speculative: _Optional[bool] = ...) -> None: ...

class AuthenticationReply(_message.Message):
    __slots__ = ("level", "stale", "locked", "last_attempt", "closed", "language")
    class Level(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NOBODY: _ClassVar[AuthenticationReply.Level]
        IDENTIFIED: _ClassVar[AuthenticationReply.Level]
        AUTHENTICATED: _ClassVar[AuthenticationReply.Level]
    NOBODY: AuthenticationReply.Level
    IDENTIFIED: AuthenticationReply.Level
    AUTHENTICATED: AuthenticationReply.Level
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    LAST_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    level: AuthenticationReply.Level
    stale: bool
    locked: bool
    last_attempt: bool
    closed: bool
    language: str
    def __init__(self, level: _Optional[_Union[AuthenticationReply.Level, str]] = ..., stale: _Optional[bool] = ..., locked: _Optional[bool] = ..., last_attempt: _Optional[bool] = ..., closed: _Optional[bool] = ..., language: _Optional[str] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("account_id", "kind", "name", "ending", "balance", "available")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENDING_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    kind: str
    name: str
    ending: str
    balance: Money
    available: Money
    def __init__(self, account_id: _Optional[str] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., ending: _Optional[str] = ..., balance: _Optional[_Union[Money, _Mapping]] = ..., available: _Optional[_Union[Money, _Mapping]] = ...) -> None: ...

class AccountsReply(_message.Message):
    __slots__ = ("refusal", "accounts")
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    refusal: Refusal
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    def __init__(self, refusal: _Optional[_Union[Refusal, str]] = ..., accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ...) -> None: ...

class TransactionsRequest(_message.Message):
    __slots__ = ("call", "account_id", "count")
    CALL_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    call: CallRequest
    account_id: str
    count: int
    def __init__(self, call: _Optional[_Union[CallRequest, _Mapping]] = ..., account_id: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Transaction(_message.Message):
    __slots__ = ("date", "description", "amount")
    DATE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    date: str
    description: str
    amount: Money
    def __init__(self, date: _Optional[str] = ..., description: _Optional[str] = ..., amount: _Optional[_Union[Money, _Mapping]] = ...) -> None: ...

class TransactionsReply(_message.Message):
    __slots__ = ("refusal", "transactions")
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    refusal: Refusal
    transactions: _containers.RepeatedCompositeFieldContainer[Transaction]
    def __init__(self, refusal: _Optional[_Union[Refusal, str]] = ..., transactions: _Optional[_Iterable[_Union[Transaction, _Mapping]]] = ...) -> None: ...

class Card(_message.Message):
    __slots__ = ("card_id", "kind", "ending", "state")
    CARD_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENDING_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    card_id: str
    kind: str
    ending: str
    state: str
    def __init__(self, card_id: _Optional[str] = ..., kind: _Optional[str] = ..., ending: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class CardsReply(_message.Message):
    __slots__ = ("refusal", "cards")
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    CARDS_FIELD_NUMBER: _ClassVar[int]
    refusal: Refusal
    cards: _containers.RepeatedCompositeFieldContainer[Card]
    def __init__(self, refusal: _Optional[_Union[Refusal, str]] = ..., cards: _Optional[_Iterable[_Union[Card, _Mapping]]] = ...) -> None: ...

class CardRequest(_message.Message):
    __slots__ = ("call", "card_id")
    CALL_FIELD_NUMBER: _ClassVar[int]
    CARD_ID_FIELD_NUMBER: _ClassVar[int]
    call: CallRequest
    card_id: str
    def __init__(self, call: _Optional[_Union[CallRequest, _Mapping]] = ..., card_id: _Optional[str] = ...) -> None: ...

class CardDeliveryReply(_message.Message):
    __slots__ = ("refusal", "status", "posted_on", "expected_on")
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    POSTED_ON_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_ON_FIELD_NUMBER: _ClassVar[int]
    refusal: Refusal
    status: str
    posted_on: str
    expected_on: str
    def __init__(self, refusal: _Optional[_Union[Refusal, str]] = ..., status: _Optional[str] = ..., posted_on: _Optional[str] = ..., expected_on: _Optional[str] = ...) -> None: ...

class BlockCardReply(_message.Message):
    __slots__ = ("refusal", "blocked", "replacement_ordered")
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    REPLACEMENT_ORDERED_FIELD_NUMBER: _ClassVar[int]
    refusal: Refusal
    blocked: bool
    replacement_ordered: bool
    def __init__(self, refusal: _Optional[_Union[Refusal, str]] = ..., blocked: _Optional[bool] = ..., replacement_ordered: _Optional[bool] = ...) -> None: ...

class Bill(_message.Message):
    __slots__ = ("bill_id", "biller", "amount", "due_on")
    BILL_ID_FIELD_NUMBER: _ClassVar[int]
    BILLER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    DUE_ON_FIELD_NUMBER: _ClassVar[int]
    bill_id: str
    biller: str
    amount: Money
    due_on: str
    def __init__(self, bill_id: _Optional[str] = ..., biller: _Optional[str] = ..., amount: _Optional[_Union[Money, _Mapping]] = ..., due_on: _Optional[str] = ...) -> None: ...

class BillsReply(_message.Message):
    __slots__ = ("refusal", "bills")
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    BILLS_FIELD_NUMBER: _ClassVar[int]
    refusal: Refusal
    bills: _containers.RepeatedCompositeFieldContainer[Bill]
    def __init__(self, refusal: _Optional[_Union[Refusal, str]] = ..., bills: _Optional[_Iterable[_Union[Bill, _Mapping]]] = ...) -> None: ...

class Payee(_message.Message):
    __slots__ = ("payee_id", "name", "ending")
    PAYEE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENDING_FIELD_NUMBER: _ClassVar[int]
    payee_id: str
    name: str
    ending: str
    def __init__(self, payee_id: _Optional[str] = ..., name: _Optional[str] = ..., ending: _Optional[str] = ...) -> None: ...

class PayeesReply(_message.Message):
    __slots__ = ("refusal", "payees")
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    PAYEES_FIELD_NUMBER: _ClassVar[int]
    refusal: Refusal
    payees: _containers.RepeatedCompositeFieldContainer[Payee]
    def __init__(self, refusal: _Optional[_Union[Refusal, str]] = ..., payees: _Optional[_Iterable[_Union[Payee, _Mapping]]] = ...) -> None: ...

class QuoteRequest(_message.Message):
    __slots__ = ("call", "transfer", "bill")
    CALL_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    BILL_FIELD_NUMBER: _ClassVar[int]
    call: CallRequest
    transfer: TransferOrder
    bill: BillOrder
    def __init__(self, call: _Optional[_Union[CallRequest, _Mapping]] = ..., transfer: _Optional[_Union[TransferOrder, _Mapping]] = ..., bill: _Optional[_Union[BillOrder, _Mapping]] = ...) -> None: ...

class TransferOrder(_message.Message):
    __slots__ = ("from_account_id", "payee_id", "to_account_id", "amount")
    FROM_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYEE_ID_FIELD_NUMBER: _ClassVar[int]
    TO_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    from_account_id: str
    payee_id: str
    to_account_id: str
    amount: Money
    def __init__(self, from_account_id: _Optional[str] = ..., payee_id: _Optional[str] = ..., to_account_id: _Optional[str] = ..., amount: _Optional[_Union[Money, _Mapping]] = ...) -> None: ...

class BillOrder(_message.Message):
    __slots__ = ("from_account_id", "bill_id")
    FROM_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BILL_ID_FIELD_NUMBER: _ClassVar[int]
    from_account_id: str
    bill_id: str
    def __init__(self, from_account_id: _Optional[str] = ..., bill_id: _Optional[str] = ...) -> None: ...

class QuoteReply(_message.Message):
    __slots__ = ("refusal", "quote_id", "payee", "payee_ending", "from_kind", "from_ending", "amount", "fee", "token", "valid_seconds")
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    PAYEE_FIELD_NUMBER: _ClassVar[int]
    PAYEE_ENDING_FIELD_NUMBER: _ClassVar[int]
    FROM_KIND_FIELD_NUMBER: _ClassVar[int]
    FROM_ENDING_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    FEE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    VALID_SECONDS_FIELD_NUMBER: _ClassVar[int]
    refusal: Refusal
    quote_id: str
    payee: str
    payee_ending: str
    from_kind: str
    from_ending: str
    amount: Money
    fee: Money
    token: bytes
    valid_seconds: int
    def __init__(self, refusal: _Optional[_Union[Refusal, str]] = ..., quote_id: _Optional[str] = ..., payee: _Optional[str] = ..., payee_ending: _Optional[str] = ..., from_kind: _Optional[str] = ..., from_ending: _Optional[str] = ..., amount: _Optional[_Union[Money, _Mapping]] = ..., fee: _Optional[_Union[Money, _Mapping]] = ..., token: _Optional[bytes] = ..., valid_seconds: _Optional[int] = ...) -> None: ...

class ExecuteRequest(_message.Message):
    __slots__ = ("call", "quote_id", "token", "confirmed_by")
    CALL_FIELD_NUMBER: _ClassVar[int]
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_BY_FIELD_NUMBER: _ClassVar[int]
    call: CallRequest
    quote_id: str
    token: bytes
    confirmed_by: str
    def __init__(self, call: _Optional[_Union[CallRequest, _Mapping]] = ..., quote_id: _Optional[str] = ..., token: _Optional[bytes] = ..., confirmed_by: _Optional[str] = ...) -> None: ...

class ExecuteReply(_message.Message):
    __slots__ = ("state", "refusal", "reference")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[ExecuteReply.State]
        EXECUTED: _ClassVar[ExecuteReply.State]
        PENDING: _ClassVar[ExecuteReply.State]
        REFUSED: _ClassVar[ExecuteReply.State]
    STATE_UNSPECIFIED: ExecuteReply.State
    EXECUTED: ExecuteReply.State
    PENDING: ExecuteReply.State
    REFUSED: ExecuteReply.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    state: ExecuteReply.State
    refusal: Refusal
    reference: str
    def __init__(self, state: _Optional[_Union[ExecuteReply.State, str]] = ..., refusal: _Optional[_Union[Refusal, str]] = ..., reference: _Optional[str] = ...) -> None: ...

class BranchesRequest(_message.Message):
    __slots__ = ("call", "place", "language")
    CALL_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    call: CallRequest
    place: str
    language: str
    def __init__(self, call: _Optional[_Union[CallRequest, _Mapping]] = ..., place: _Optional[str] = ..., language: _Optional[str] = ...) -> None: ...

class Branch(_message.Message):
    __slots__ = ("name", "address", "hours")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HOURS_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: str
    hours: _containers.RepeatedCompositeFieldContainer[OpeningHours]
    def __init__(self, name: _Optional[str] = ..., address: _Optional[str] = ..., hours: _Optional[_Iterable[_Union[OpeningHours, _Mapping]]] = ...) -> None: ...

class OpeningHours(_message.Message):
    __slots__ = ("weekday", "opens", "closes")
    WEEKDAY_FIELD_NUMBER: _ClassVar[int]
    OPENS_FIELD_NUMBER: _ClassVar[int]
    CLOSES_FIELD_NUMBER: _ClassVar[int]
    weekday: int
    opens: str
    closes: str
    def __init__(self, weekday: _Optional[int] = ..., opens: _Optional[str] = ..., closes: _Optional[str] = ...) -> None: ...

class BranchesReply(_message.Message):
    __slots__ = ("branches",)
    BRANCHES_FIELD_NUMBER: _ClassVar[int]
    branches: _containers.RepeatedCompositeFieldContainer[Branch]
    def __init__(self, branches: _Optional[_Iterable[_Union[Branch, _Mapping]]] = ...) -> None: ...

class ForgetReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BankStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BankStatusReply(_message.Message):
    __slots__ = ("breaker", "money_closed", "reason", "instances", "unsettled_orders")
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    MONEY_CLOSED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_ORDERS_FIELD_NUMBER: _ClassVar[int]
    breaker: str
    money_closed: bool
    reason: str
    instances: _containers.RepeatedCompositeFieldContainer[InstanceStatus]
    unsettled_orders: int
    def __init__(self, breaker: _Optional[str] = ..., money_closed: _Optional[bool] = ..., reason: _Optional[str] = ..., instances: _Optional[_Iterable[_Union[InstanceStatus, _Mapping]]] = ..., unsettled_orders: _Optional[int] = ...) -> None: ...

class InstanceStatus(_message.Message):
    __slots__ = ("instance", "breaker", "money_closed")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    MONEY_CLOSED_FIELD_NUMBER: _ClassVar[int]
    instance: str
    breaker: str
    money_closed: bool
    def __init__(self, instance: _Optional[str] = ..., breaker: _Optional[str] = ..., money_closed: _Optional[bool] = ...) -> None: ...
