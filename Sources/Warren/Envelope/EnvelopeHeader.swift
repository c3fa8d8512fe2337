/// The names of all headers that Warren reads or writes.
///
/// The first group is Celery's message protocol v2
/// (<https://docs.celeryq.dev/en/stable/internals/protocol.html>); those with `warren-` are ours.
public enum EnvelopeHeader {
    /// The language of the producer.
    public static let lang = "lang"
    /// The job's name.
    ///
    /// Required.
    public static let task = "task"
    /// The job's id.
    ///
    /// Required.
    public static let id = "id"
    /// A name to show instead of the job's.
    public static let shadow = "shadow"
    /// When the job is due, ISO 8601.
    public static let eta = "eta"
    /// After when the job is not to be started, ISO 8601.
    public static let expires = "expires"
    /// The id of the group the job belongs to.
    public static let group = "group"
    /// The job's place in its group.
    public static let groupIndex = "group_index"
    /// How many attempts were made.
    public static let retries = "retries"
    /// Time limits in seconds: hard, soft.
    public static let timeLimit = "timelimit"
    /// The id of the first job of the workflow.
    public static let rootID = "root_id"
    /// The id of the job that enqueued this one; on a retry, the job's own.
    public static let parentID = "parent_id"
    /// The positional arguments, to be read by people.
    public static let argsRepr = "argsrepr"
    /// The keyword arguments, to be read by people.
    public static let kwargsRepr = "kwargsrepr"
    /// Which process sent the job first.
    public static let origin = "origin"
    /// Whether a result is unwanted.
    public static let ignoreResult = "ignore_result"
    /// How often the job replaced itself.
    public static let replacedTaskNesting = "replaced_task_nesting"
    /// The names of the stamps.
    public static let stampedHeaders = "stamped_headers"
    /// The stamps.
    public static let stamps = "stamps"
    /// How the body is compressed.
    public static let compression = "compression"

    /// The broker's count of earlier deliveries, on quorum queues.
    public static let deliveryCount = "x-delivery-count"

    /// When the job was first enqueued: microseconds since 1970.
    public static let enqueuedAt = "warren-enqueued-at"
    /// The lane the job was enqueued to, if it isn't the normal one.
    public static let lane = "warren-lane"
    /// The failures so far: an array of tables, the oldest first.
    public static let history = "warren-history"
    /// How many failures there were, also those that ``history`` no longer holds.
    public static let failures = "warren-failures"
    /// When the job failed first, ISO 8601.
    public static let firstFailedAt = "warren-first-failed-at"
    /// When the job failed last, ISO 8601.
    public static let lastFailedAt = "warren-last-failed-at"
    /// Why the job is in the dead queue.
    public static let deadReason = "warren-dead-reason"
    /// When the job was moved to the dead queue, ISO 8601.
    public static let deadAt = "warren-dead-at"
    /// The type of the last error.
    public static let errorType = "warren-error-type"
    /// The message of the last error.
    public static let errorMessage = "warren-error-message"
    /// More about the last error.
    public static let errorDetails = "warren-error-details"
    /// When the job was parked, ISO 8601.
    public static let parkedAt = "warren-parked-at"
    /// The exchange through which the job came to its queue.
    public static let originalExchange = "warren-original-exchange"
    /// The routing key with which the job came to its queue.
    public static let originalRoutingKey = "warren-original-routing-key"
    /// In the record of a suspected job's start: the job's id.
    static let startedJob = "warren-started-job"
    /// In the record of a suspected job's start: the worker.
    static let startedBy = "warren-started-by"
    /// In the record of a suspected job's start: when, ISO 8601.
    static let startedAt = "warren-started-at"
    /// Names of headers that had to go so that the others fit into one frame.
    public static let droppedHeaders = "warren-dropped-headers"
}
