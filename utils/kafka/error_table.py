"""What the errors of Kafka and of its client mean for the worker (docs/adr/0023).

Transient errors are retried by whoever called. A ``FENCED`` client is out of step with the brokers: the producer is
built anew, the consumer joins again. For ``CONFIGURATION`` an operator must act: calls are retried all the same, and
the worker is not ready until one succeeds. ``GROUP`` is the same for the membership in the group: a consumer must
join anew. ``RECORD`` refuses one record for its size.
"""

import ssl
from enum import Enum, auto
from typing import Final, NamedTuple

from aiokafka import errors

from consumers.ports import GroupRefused, KafkaMisconfigured, KafkaUnavailable, RecordRefused


class Meaning(Enum):
    """What follows from an error."""

    TRANSIENT = auto()
    FENCED = auto()
    CONFIGURATION = auto()
    GROUP = auto()
    RECORD = auto()


class Row(NamedTuple):
    """These errors have this meaning. ``remedy``: what the operator should do."""

    meaning: Meaning
    remedy: str
    errors: tuple[type[Exception], ...]


_NO_REMEDY: Final = ""

_NO_RIGHT: Final = "grant the rights that signin-worker check names"

ERROR_TABLE: Final = (
    Row(Meaning.GROUP, _NO_RIGHT, (errors.GroupAuthorizationFailedError,)),
    Row(
        Meaning.CONFIGURATION,
        _NO_RIGHT,
        (
            errors.TopicAuthorizationFailedError,
            errors.ClusterAuthorizationFailedError,
            errors.TransactionalIdAuthorizationFailed,
            errors.DelegationTokenAuthorizationFailed,
        ),
    ),
    Row(
        Meaning.CONFIGURATION,
        "correct SIGNIN_KAFKA__SASL_MECHANISM and the login that it needs",
        (
            errors.AuthenticationFailedError,
            errors.AuthenticationMethodNotSupported,
            errors.SaslAuthenticationFailed,
            errors.UnsupportedSaslMechanismError,
            errors.IllegalSaslStateError,
            errors.SecurityDisabled,
            errors.DelegationTokenAuthDisabled,
            errors.DelegationTokenNotFound,
            errors.DelegationTokenOwnerMismatch,
            errors.DelegationTokenRequestNotAllowed,
            errors.DelegationTokenExpired,
            errors.InvalidPrincipalType,
        ),
    ),
    Row(
        Meaning.CONFIGURATION,
        "set SIGNIN_KAFKA__SSL_CAFILE to the authority that signed the brokers' certificates",
        (ssl.SSLCertVerificationError,),
    ),
    Row(
        Meaning.CONFIGURATION,
        "set SIGNIN_KAFKA__GROUP_ID to a name that nobody else uses",
        (errors.InconsistentGroupProtocolError, errors.InvalidGroupIdError),
    ),
    Row(
        Meaning.CONFIGURATION,
        "choose a session timeout between the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms",
        (errors.InvalidSessionTimeoutError,),
    ),
    Row(
        Meaning.CONFIGURATION,
        "correct the name of the topic",
        (errors.InvalidTopicError,),
    ),
    Row(
        Meaning.CONFIGURATION,
        "set the clocks of worker and brokers",
        (errors.InvalidTimestampError,),
    ),
    Row(
        Meaning.CONFIGURATION,
        "use other partition counts, replication factors or settings: the brokers refuse these",
        (
            errors.InvalidPartitionsError,
            errors.InvalidReplicationFactorError,
            errors.InvalidReplicationAssignmentError,
            errors.InvalidConfigurationError,
            errors.KafkaConfigurationError,
            errors.PolicyViolationError,
        ),
    ),
    Row(
        Meaning.CONFIGURATION,
        "raise the brokers' offset.metadata.max.bytes to 4096, its default",
        (errors.OffsetMetadataTooLargeError, errors.InvalidCommitOffsetSizeError),
    ),
    Row(
        Meaning.CONFIGURATION,
        "use brokers of Kafka 2.3 or later",
        (
            errors.UnrecognizedBrokerVersion,
            errors.IncompatibleBrokerVersion,
            errors.UnsupportedVersionError,
            errors.UnsupportedForMessageFormatError,
            errors.InvalidRequiredAcksError,
            errors.InvalidRequestError,
        ),
    ),
    Row(
        Meaning.RECORD,
        _NO_REMEDY,
        (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError),
    ),
    Row(
        Meaning.FENCED,
        _NO_REMEDY,
        (
            errors.ProducerFenced,
            errors.ProducerClosed,
            errors.OutOfOrderSequenceNumber,
            errors.DuplicateSequenceNumber,
            errors.UnknownProducerId,
            errors.InvalidProducerEpoch,
            errors.InvalidProducerIdMapping,
            errors.InvalidTxnState,
            errors.InvalidTransactionTimeout,
            errors.TransactionCoordinatorFenced,
            errors.OperationNotAttempted,
            errors.IllegalGenerationError,
            errors.UnknownMemberIdError,
            errors.MemberIdRequired,
            errors.CommitFailedError,
            errors.ConsumerStoppedError,
        ),
    ),
    Row(
        Meaning.TRANSIENT,
        _NO_REMEDY,
        (
            # Any error that aiokafka has no class for, or wraps.
            errors.KafkaError,
            errors.BrokerResponseError,
            errors.NoError,
            errors.UnknownError,
            # No connection, or no answer.
            errors.NoBrokersAvailable,
            errors.NodeNotReadyError,
            errors.KafkaProtocolError,
            errors.CorrelationIdError,
            errors.Cancelled,
            errors.TooManyInFlightRequests,
            errors.StaleMetadata,
            errors.MetadataEmptyBrokerList,
            errors.KafkaUnavailableError,
            errors.KafkaTimeoutError,
            errors.KafkaConnectionError,
            errors.RequestTimedOutError,
            # Leaders, replicas and coordinators move, fail and load. The brokers are also short of replicas while one
            # of them restarts: acks=all waits for it, so nothing is lost.
            errors.LeaderNotAvailableError,
            errors.NotLeaderForPartitionError,
            errors.BrokerNotAvailableError,
            errors.ReplicaNotAvailableError,
            errors.NotEnoughReplicasError,
            errors.NotEnoughReplicasAfterAppendError,
            errors.KafkaStorageError,
            errors.LogDirNotFound,
            errors.ListenerNotFound,
            errors.ReassignmentInProgress,
            errors.StaleControllerEpochError,
            errors.StaleLeaderEpochCodeError,
            errors.NotControllerError,
            errors.GroupLoadInProgressError,
            errors.GroupCoordinatorNotAvailableError,
            errors.NotCoordinatorForGroupError,
            errors.RebalanceInProgressError,
            errors.NonEmptyGroup,
            errors.GroupIdNotFound,
            errors.ConcurrentTransactions,
            errors.FetchSessionIdNotFound,
            errors.InvalidFetchSessionEpoch,
            # A broker that has just started knows no topic yet. ``KafkaWatch`` tells a topic that is really missing.
            errors.UnknownTopicOrPartitionError,
            errors.TopicAlreadyExistsError,
            # The brokers slow us down. A client that waits and asks again is what they want.
            errors.QuotaViolationError,
            # A race: the partition was revoked, or its log was cut, between two of our calls.
            errors.IllegalStateError,
            errors.NoOffsetForPartitionError,
            errors.OffsetOutOfRangeError,
            # Bugs of ours. They are logged with each try, and stop nothing but what has them.
            errors.IllegalArgumentError,
            errors.IllegalOperation,
            # What can't be read is isolated batch by batch in ``utils.kafka.polling``.
            errors.CorruptRecordException,
            errors.UnsupportedCodecError,
            errors.InvalidFetchRequestError,
            errors.RecordTooLargeError,
        ),
    ),
)
"""Each error stands in one row; one that stands in none goes by its base class. Other errors of the OS: transient."""


def meaning(error: Exception) -> Meaning:
    """Return what an error of aiokafka or of the operating system means."""
    return _row(error).meaning


def translate(error: Exception) -> KafkaUnavailable:
    """Return what an error means for whoever called.

    Its own text is left out: it may quote what was sent.
    """
    row = _row(error)
    kind = type(error).__name__

    match row.meaning:
        case Meaning.CONFIGURATION:
            return KafkaMisconfigured(f"{kind}: {row.remedy}")
        case Meaning.GROUP:
            return GroupRefused(f"{kind}: {row.remedy}")
        case Meaning.RECORD:
            return RecordRefused(kind)
        case Meaning.TRANSIENT | Meaning.FENCED:
            return KafkaUnavailable(kind)


def _row(error: Exception) -> Row:
    known = (_ROWS[each] for each in type(error).__mro__ if each in _ROWS)
    return next(known, _UNLISTED)


_ROWS: Final = {each: row for row in ERROR_TABLE for each in row.errors}
_UNLISTED: Final = Row(Meaning.TRANSIENT, _NO_REMEDY, ())
