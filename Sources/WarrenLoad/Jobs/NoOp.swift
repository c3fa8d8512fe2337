import Warren

/// The job that is measured: a typed payload, and nothing to do.
struct NoOp: Job {
    static let name = "warren-load.no-op"
    static let queue: QueueName = "warren-load"

    var number: Int
    var text: String

    /// A job whose message has a body of about the size of the C program's, whatever the number.
    init(number: Int) {
        self.number = number
        text = Self.filling
    }

    /// `[[],{"number":…,"text":"…"},{"callbacks":null,…}]` has some 95 bytes beside the text.
    private static let filling = String(repeating: "x", count: Load.bodySize - 95)
}
