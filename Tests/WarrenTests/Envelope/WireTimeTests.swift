import AMQP
import Foundation
import TestSupport
import Testing

@testable import Warren

@Suite struct WireTimeTests {
    private static let whole: TimeInterval = 1_795_232_137

    @Test(arguments: [
        ("2026-11-21T03:35:37+00:00", 0.0), ("2026-11-21T03:35:37Z", 0), ("2026-11-21T03:35:37z", 0),
        ("2026-11-21T03:35:37+0000", 0), ("2026-11-21T03:35:37+00", 0), ("2026-11-21T03:35:37-00:00", 0),
        ("2026-11-21T03:35:37", 0), ("2026-11-21 03:35:37", 0), ("20261121T033537Z", 0), ("20261121T033537", 0),
        ("2026-11-21T05:35:37+02:00", 0), ("2026-11-20T22:05:37-05:30", 0),
        ("2026-11-21T03:35:37.755313+00:00", 0.755313),
        ("2026-11-21T03:35:37.755", 0.755), ("2026-11-21T03:35:37,755", 0.755),
        ("2026-11-21T03:35:37.755313999Z", 0.755313),
        ("20261121T033537.5Z", 0.5),
    ]
    )
    func `Every format that Celery reads is read`(text: String, fraction: TimeInterval) throws {
        let date = try #require(WireTime.date(text))
        #expect(abs(date.timeIntervalSince1970 - Self.whole - fraction) < 0.000_001)
    }

    @Test(arguments: ["2026-11-21", "20261121"])
    func `A date alone means midnight in UTC, in both formats`(text: String) {
        #expect(WireTime.date(text)?.timeIntervalSince1970 == 1_795_219_200)
    }

    @Test(arguments: ["2026-11-21T03:35Z", "20261121T0335"])
    func `A time without seconds is accepted`(text: String) {
        #expect(WireTime.date(text)?.timeIntervalSince1970 == 1_795_232_100)
    }

    @Test(arguments: [
        "", " ", "tomorrow", "2026", "2026-11", "2026-13-01", "2026-00-10", "2026-02-29", "2026-04-31",
        "0000-01-01",
        "2026-11-21T", "2026-11-21T24:00:00", "2026-11-21T23:60:00", "2026-11-21T23:59:60", "2026-11-21T03:35:37.",
        "2026-11-21T03:35:37.1234567890", "2026-11-21T03:35:37+24:00", "2026-11-21T03:35:37+0",
        "2026-11-21T03:35:37 Z",
        "2026-11-21T03:35:37Zx", "1795232137", "1795232137.75", "2026-1121T033537", "-026-11-21", "２０２６-11-21",
        String(repeating: "2", count: 100_000),
    ]
    )
    func `What isn't a time is not read`(text: String) {
        #expect(WireTime.date(text) == nil)
    }

    @Test func `An AMQP timestamp is a time, a number is not`() {
        #expect(WireTime.date(.timestamp(1_795_232_137))?.timeIntervalSince1970 == Self.whole)
        #expect(WireTime.date(.timestamp(.max)) == nil)
        #expect(WireTime.date(.int64(1_795_232_137)) == nil)
        #expect(WireTime.date(.double(1_795_232_137)) == nil)
    }

    @Test func `Times are written as Celery writes them`() {
        #expect(WireTime.text(noon) == "2026-11-21T03:35:37.755313+00:00")
        #expect(WireTime.text(Date(timeIntervalSince1970: 0)) == "1970-01-01T00:00:00.000000+00:00")
        #expect(WireTime.text(Date(timeIntervalSince1970: -0.5)) == "1969-12-31T23:59:59.500000+00:00")
        #expect(WireTime.text(Date(timeIntervalSince1970: 951_782_400)) == "2000-02-29T00:00:00.000000+00:00")
    }

    @Test func `Times beyond the years of four digits are written as the first or last of them`() {
        #expect(WireTime.text(Date(timeIntervalSince1970: .infinity)).hasPrefix("9999-12-31T23:59:59"))
        #expect(WireTime.text(Date(timeIntervalSince1970: -.infinity)).hasPrefix("0001-01-01T00:00:00"))
        #expect(WireTime.text(Date(timeIntervalSince1970: .nan)).hasPrefix("0001-01-01T00:00:00"))
    }
}

@Suite struct WireTimePropertyTests {
    @Test func `What is written reads back as the same microsecond, for any time of ten thousand years`() async throws {
        var generator = SeededGenerator(seed: 7)
        var wrong: [Date] = []
        for _ in 0..<PropertyRounds.count(1_000) {
            await Task.yield()
            let microseconds = Int64.random(in: -62_135_596_800_000_000...253_402_300_799_000_000, using: &generator)
            let date = Date(timeIntervalSince1970: Double(microseconds) / 1_000_000)
            let read = try #require(WireTime.date(WireTime.text(date)))
            // This far from 1970 a double of seconds is exact to a few microseconds.
            if abs(read.timeIntervalSince(date)) > 0.000_06 { wrong.append(date) }
        }
        #expect(wrong.isEmpty)
    }

    @Test func `Days and dates agree with each other over four centuries, day by day`() async {
        var last = WireTime.civil(fromDay: -1)
        // One expectation for all days: a hundred thousand of them take seconds.
        var wrong: [Int64] = []
        for day in Int64(0)..<146_097 {
            if day % 1_000 == 0 { await Task.yield() }
            let date = WireTime.civil(fromDay: day)
            let isInOrder = (last.year, last.month, last.dayOfMonth) < (date.year, date.month, date.dayOfMonth)
            let isSame = WireTime.day(year: date.year, month: date.month, dayOfMonth: date.dayOfMonth) == day
            if !isInOrder || !isSame { wrong.append(day) }
            last = date
        }
        #expect(wrong.isEmpty)
        #expect(last == (2369, 12, 31))
    }
}
