/// Does jobs of one kind.
///
/// The handler holds what the work needs: clients, pools, settings.
///
/// Most handlers are a closure in a ``Handler``; a type of its own suits one with much to hold or to test.
public protocol JobHandler<Payload>: Sendable {
    /// The kind of job it does.
    associatedtype Payload: Job

    /// Does the job. Returning means success; throwing means failure, and the job's ``RetryPolicy`` decides what comes next.
    ///
    /// Many jobs run at once on the cooperative pool, so a handler must not block its thread. At shutdown, the task is cancelled once
    /// the worker's deadline has passed; a job that ends with `CancellationError` then is handed back, and no failure is counted.
    /// At a soft time limit it is cancelled too (``TimeLimits``): a job that then ends with an error has failed, one that returns succeeded.
    ///
    /// - Throws: ``JobFailure`` to say what should happen next; any other error is judged by the policy.
    func handle(_ job: Payload, context: JobContext) async throws
}
