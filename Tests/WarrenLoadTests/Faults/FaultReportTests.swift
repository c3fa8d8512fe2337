import Testing

@testable import WarrenLoad

@Suite struct FaultReportTests {
    private var report: FaultReport {
        FaultReport(
            fault: "worker-killed",
            balance: Ledger.Balance(enqueued: 10, completed: 9, dead: 1, duplicated: 2, doubtful: 1),
            recovered: 0.1234,
            figures: [("kills", 3)],
            notes: ["a \"note\""]
        )
    }

    @Test func `A line begins with the common keys and continues with those specific to the fault`() throws {
        #expect(
            try report.line
                == #"{"fault":"worker-killed","enqueued":10,"completed":9,"dead":1,"lost":0,"duplicated":2,"recovered_s":0.123,"#
                + #""doubtful":1,"kills":3,"note":"a \"note\""}"#
        )
    }

    @Test func `A missed requirement fails the report, and so does an experiment without a ledger`() throws {
        var broken = report
        broken.broken = ["lost: a"]
        #expect(report.holds)
        #expect(!broken.holds)
        #expect(try broken.line.hasSuffix(#","broken":["lost: a"]}"#))
        #expect(!FaultReport(fault: "f").holds)
        #expect(try FaultReport(fault: "f").line.contains(#""lost":null"#))
    }

    @Test func `The tables have a row for each report and a cell for each column`() {
        let table = FaultTable([report, FaultReport(fault: "f", broken: ["x"])], summaries: ["f": "a fault"])
        let lines = table.markdown.split(separator: "\n")
        #expect(lines.count == 4)
        #expect(Set(lines.map { $0.count { $0 == "|" } }) == [9])
        #expect(lines[3].hasPrefix("| a fault | – |"))
        #expect(table.text.split(separator: "\n").count == 3)
    }

    @Test func `Every fault has a unique name and summary`() {
        let all = FaultCatalogue.all
        #expect(Set(all.map(\.name)).count == all.count)
        #expect(Set(all.map(\.summary)).count == all.count)
        #expect(all.allSatisfy { $0.name.allSatisfy { $0.isLetter && $0.isLowercase || $0 == "-" } })
    }
}
