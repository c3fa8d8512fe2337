import Foundation
import Testing

@testable import WarrenLoad

struct FigureTests {
    func figure(_ json: String) throws -> Figure {
        try JSONDecoder().decode(Figure.self, from: Data(json.utf8))
    }

    @Test func `A figure is read from the C program's lines`() throws {
        let rate = try figure(
            #"{"work":"publish","who":"c","queue":"quorum","count":100000,"rate":34386.3,"cpu_us":5.368}"#
        )
        #expect(rate.work == .publish)
        #expect(rate.implementation == .c)
        #expect(rate.rate == 34_386.3)
        #expect(rate.cpu == 5.368)
        let latency = try figure(
            #"{"work":"latency","who":"c","queue":"quorum","count":500,"rate":100,"p50_ms":0.598,"p99_ms":3.421}"#
        )
        #expect(latency.p50 == 0.598)
        #expect(latency.p99 == 3.421)
    }

    @Test func `A figure is one line of JSON without the keys that it doesn't have`() throws {
        var measurement = Figure(.execute, count: 10, seconds: 0.25)
        measurement.cpu = 15.5
        #expect(
            try measurement.line
                == #"{"count":10,"cpu_us":15.5,"queue":"quorum","seconds":0.25,"who":"warren","work":"execute"}"#
        )
    }

    @Test func `The median is taken of each figure of the repetitions`() throws {
        let repetitions = try [30.0, 10, 20].map {
            try figure(
                #"{"work":"consume","who":"c","queue":"quorum","count":1,"rate":\#($0),"cpu_us":\#(40 - $0)}"#
            )
        }
        let median = try Figure(medianOf: repetitions)
        #expect(median.rate == 20)
        #expect(median.cpu == 20)
        #expect(median.p50 == nil)
        #expect(median.spread == 1)
        #expect(Figure.median([4, 1, 3, 2]) == 2.5)
        #expect(Figure.spread([4]) == nil)
        #expect(throws: LoadError.self) { try Figure(medianOf: []) }
    }

    @Test func `Percentiles are latencies that occurred, of one as of a hundred`() {
        let hundred = (1...100).map(Double.init)
        #expect(Figure.percentile(0.5, of: hundred) == 50)
        #expect(Figure.percentile(0.99, of: hundred) == 99)
        #expect(Figure.percentile(0.99, of: [7]) == 7)
        #expect(Figure.percentile(0.5, of: []) == nil)
        let measurement = Figure(.latency, count: 3, latenciesInMilliseconds: [3, 1, 2])
        #expect(measurement.p50 == 2)
        #expect(measurement.p99 == 3)
    }
}
