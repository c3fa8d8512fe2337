import Testing

@testable import WarrenLoad

@Suite("The table of figures")
struct ReportTests {
    func measurement(_ work: Work, _ who: Contestant, rate: Double, cpu: Double) -> Figure {
        var measurement = Figure(work, count: 1, seconds: 0)
        measurement.who = who
        measurement.seconds = nil
        measurement.rate = rate
        measurement.cpu = cpu
        return measurement
    }

    @Test("shows each contest with Warren's ratio to the first C program, and only columns with figures")
    func table() {
        var report = Report()
        report.add([
            measurement(.consume, .c, rate: 50_000, cpu: 5), measurement(.consumeMultiple, .c, rate: 100_000, cpu: 2),
            measurement(.consume, .warren, rate: 80_000, cpu: 6),
        ])
        report.add([measurement(.start, .warren, rate: 1, cpu: 12.5)])
        let rows = report.text.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        #expect(
            rows == [
                "work who rate/s CPU µs", "consume c 50,000 5.00", "consume-multiple c 100,000 2.00",
                "consume warren 80,000 6.00", "ratio 1.60 1.20", "start warren 1 12.50",
            ]
        )
    }

    @Test("is as wide in each row")
    func alignment() {
        var report = Report()
        report.add([
            measurement(.publishSerial, .c, rate: 1, cpu: 1), measurement(.publishSerial, .warren, rate: 9, cpu: 1),
        ])
        #expect(Set(report.text.split(separator: "\n").map(\.count)).count == 1)
    }
}
