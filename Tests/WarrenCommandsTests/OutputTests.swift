import AMQP
import Foundation
import Logging
import Synchronization
import Testing

@testable import Warren
@testable import WarrenCommands

struct OutputTests {
    @Test func `A table has aligned columns and no trailing spaces`() {
        var table = TextTable([("QUEUE", .left), ("WAITING", .right), ("NOTE", .left)])
        table.add(["emails", "7", ""])
        table.add(["a", "12345", "x"])
        #expect(table.text == "QUEUE   WAITING  NOTE\nemails        7\na         12345  x")
    }

    @Test func `A table without rows shows only its headings`() {
        #expect(TextTable([("A", .left), ("B", .right)]).text == "A  B")
    }

    @Test func `Text from messages can't control the terminal or break a row`() {
        #expect(TextTable.printable("a\u{1B}[31mb\r\nc\u{202E}d\u{85}e\u{2028}f") == "a [31mb  cd e f")
    }

    @Test func `JSON has sorted keys, dates in ISO 8601 and no line breaks`() throws {
        struct Sample: Encodable {
            var zone = "a\nb/c"
            var date = Date(timeIntervalSince1970: 0)
        }
        #expect(try Output.jsonText(Sample()) == #"{"date":"1970-01-01T00:00:00Z","zone":"a\nb/c"}"#)
    }

    @Test func `A worker's report contains its name beside its counts`() throws {
        var counts = WorkerCounts()
        counts.succeeded = 3
        let text = try Output.jsonText(WorkerReport(worker: "w", counts: counts))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object["worker"] as? String == "w")
        #expect(object["succeeded"] as? Int == 3)
        #expect(object["requeued"] as? Int == 0)
    }

    @Test(arguments: [
        (0.0, "0s"), (59, "59s"), (60, "1m"), (7_200, "2h"), (200_000, "2d"), (-5, "0s"),
    ]
    )
    func `An age is shown in its largest unit`(seconds: Double, text: String) {
        let then = Date(timeIntervalSince1970: 1e9)
        #expect(Age.text(from: then, to: then.addingTimeInterval(seconds)) == text)
    }

    @Test func `An error is one line with the problem and the broker's words, without code and source location`() {
        let broker = AMQPError(.notFound, "Can't look at the queue 'a':\nNOT_FOUND")
        let error = WarrenError(.deadLettersFailed, "There is no queue 'a'.", underlying: broker)
        #expect(ErrorLine.text(for: error) == "There is no queue 'a'. Can't look at the queue 'a': NOT_FOUND")
        #expect(ErrorLine.text(for: CancellationError()) == nil)
    }

    @Test func `A file system error names the file`() throws {
        let error = #expect(throws: CocoaError.self) {
            try FileManager.default.contentsOfDirectory(atPath: "/nowhere/to/be/found")
        }
        let line = try #require(error.flatMap { ErrorLine.text(for: $0) })
        #expect(line.hasPrefix("/nowhere/to/be/found: "))
        #expect(!line.contains("NSPOSIXErrorDomain"))
    }

    @Test func `A log in JSON is one object a line, whatever is in its message and metadata`() throws {
        let lines = Mutex(Data())
        var logger = Logger(label: "warren.worker") { label in
            LineLogHandler(label: label, logLevel: .info, format: .json) { line in lines.withLock { $0 += line } }
        }
        logger[metadataKey: "worker"] = "one"
        logger.debug("Not this")
        logger.warning(
            "A job\nfailed",
            metadata: ["job": "a\"b", "worker": "two", "list": ["x", .stringConvertible(7)], "table": ["k": "v"]]
        )
        let text = String(decoding: lines.withLock(\.self), as: UTF8.self)
        #expect(text.split(separator: "\n").count == 1)
        #expect(text.hasSuffix("}\n"))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(Set(object.keys) == ["time", "level", "label", "message", "metadata"])
        #expect(object["level"] as? String == "warning")
        #expect(object["label"] as? String == "warren.worker")
        #expect(object["message"] as? String == "A job\nfailed")
        let time = try #require(object["time"] as? String)
        #expect(InstantArgument(argument: time).map { abs($0.date.timeIntervalSinceNow) < 3600 } == true)
        let metadata = try #require(object["metadata"] as? [String: Any])
        #expect(metadata["worker"] as? String == "two")
        #expect(metadata["job"] as? String == "a\"b")
        #expect(metadata["list"] as? [String] == ["x", "7"])
        #expect(metadata["table"] as? [String: String] == ["k": "v"])
    }
}
