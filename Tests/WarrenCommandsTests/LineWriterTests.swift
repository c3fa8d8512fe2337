import Foundation
import Logging
import Synchronization
import Testing

@testable import WarrenCommands

@Suite(.timeLimit(.minutes(1))) struct LineWriterTests {
    @Test func `A reader that has stopped reading delays nobody, and learns how much it missed`() async throws {
        let pipe = Pipe()
        let writer = LineWriter(pipe.fileHandleForWriting)
        let line = Data((String(repeating: "x", count: 999) + "\n").utf8)
        // Far more than the pipe and the writer hold.
        for _ in 0..<5_000 { writer.write(line) }
        let reader = pipe.fileHandleForReading
        let text = Task.detached { String(decoding: try reader.readToEnd() ?? Data(), as: UTF8.self) }
        writer.flush()
        writer.write(Data("At last.\n".utf8))
        writer.flush()
        try pipe.fileHandleForWriting.close()
        let lines = try await text.value.split(separator: "\n")
        #expect(lines.last == "At last.")
        let notice = try #require(lines.dropLast().last)
        #expect(notice.hasSuffix(" log lines were left out, because they could not be written."))
        let leftOut = try #require(notice.split(separator: " ").first.flatMap { Int($0) })
        #expect(lines.count { $0.count == 999 } + leftOut == 5_000)
    }

    @Test func `A reader that has ended delays nobody`() throws {
        signal(SIGPIPE, SIG_IGN)
        let pipe = Pipe()
        let writer = LineWriter(pipe.fileHandleForWriting)
        try pipe.fileHandleForReading.close()
        for _ in 0..<3 { writer.write(Data("Lost.\n".utf8)) }
        writer.flush()
    }

    @Test func `A log in text is one line an event, with its metadata in order`() {
        let lines = Mutex(Data())
        var logger = Logger(label: "warren.worker") { label in
            LineLogHandler(label: label, logLevel: .info, format: .text) { line in lines.withLock { $0 += line } }
        }
        logger[metadataKey: "worker"] = "one"
        logger.debug("Not this")
        logger.warning("A job\nfailed", metadata: ["job": "a"])
        let text = String(decoding: lines.withLock(\.self), as: UTF8.self)
        #expect(text.hasSuffix(" warning warren.worker: job=a worker=one [WarrenCommandsTests] A job\\nfailed\n"))
    }
}
