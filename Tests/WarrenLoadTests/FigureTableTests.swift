import Testing

@testable import WarrenLoad

struct FigureTableTests {
    func measurement(_ work: Work, _ implementation: Implementation, rate: Double, cpu: Double) -> Figure {
        var measurement = Figure(work, count: 1, seconds: 0)
        measurement.implementation = implementation
        measurement.seconds = nil
        measurement.rate = rate
        measurement.cpu = cpu
        return measurement
    }

    @Test
    func `The table shows each comparison with Warren's ratio to each C program, and only columns with figures`() {
        var table = FigureTable()
        table.add([
            measurement(.consume, .c, rate: 50_000, cpu: 5), measurement(.consumeMultiple, .c, rate: 100_000, cpu: 2),
            measurement(.consume, .warren, rate: 80_000, cpu: 6),
        ])
        table.add([measurement(.start, .warren, rate: 1, cpu: 12.5)])
        let rows = table.text.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        #expect(
            rows == [
                "work who rate/s CPU µs", "consume c 50,000 5.00", "consume-multiple c 100,000 2.00",
                "consume warren 80,000 6.00", "consume ratio 1.60 1.20", "consume ratio to consume-multiple 0.80 3.00",
                "start warren 1 12.50",
            ]
        )
    }

    @Test func `All rows of the table are equally wide`() {
        var table = FigureTable()
        table.add([
            measurement(.publishSerial, .c, rate: 1, cpu: 1), measurement(.publishSerial, .warren, rate: 9, cpu: 1),
        ])
        #expect(Set(table.text.split(separator: "\n").map(\.count)).count == 1)
    }
}
