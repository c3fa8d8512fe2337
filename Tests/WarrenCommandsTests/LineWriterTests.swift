import Foundation
import Logging
import Synchronization
import Testing

@testable import WarrenCommands

@Suite(.timeLimit(.minutes(1))) struct LineWriterTests {
    @Test func `A reader that has stopped reading holds up nobody, and is told how much it missed`() throws {
        let pipe = Pipe()
        let writer = LineWriter(pipe.fileHandleForWriting.fileDescriptor)
        let line = Data((String(repeating: "x", count: 999) + "\n").utf8)
        // Far more than a pipe takes.
        for _ in 0..<5_000 { writer.write(line) }
        var read = pipe.fileHandleForReading.availableData
        writer.write(Data("At last.\n".utf8))
        try pipe.fileHandleForWriting.close()
        read += try #require(try pipe.fileHandleForReading.readToEnd())
        let lines = String(decoding: read, as: UTF8.self).split(separator: "\n")
        #expect(lines.last == "At last.")
        let notice = try #require(lines.dropLast().last)
        #expect(notice.hasSuffix(" log lines were left out, because they could not be written."))
        let leftOut = try #require(notice.split(separator: " ").first.flatMap { Int($0.drop { $0 == "x" }) })
        #expect(lines.count { $0.count == 999 } + leftOut == 5_000)
    }

    @Test func `A reader that is gone holds up nobody`() throws {
        signal(SIGPIPE, SIG_IGN)
        let pipe = Pipe()
        let writer = LineWriter(pipe.fileHandleForWriting.fileDescriptor)
        try pipe.fileHandleForReading.close()
        for _ in 0..<3 { writer.write(Data("Lost.\n".utf8)) }
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
