import Testing

@testable import Digest

struct ProgressBarTests {
    @Test func `It fills in proportion, and is full at the end`() {
        let bar = ProgressBar("jobs", total: 60, isVisible: false)
        #expect(bar.text(0) == "jobs " + String(repeating: "·", count: 30) + " 0 of 60")
        #expect(
            bar.text(20) == "jobs " + String(repeating: "█", count: 10) + String(repeating: "·", count: 20)
                + " 20 of 60"
        )
        #expect(bar.text(60) == "jobs " + String(repeating: "█", count: 30) + " 60 of 60")
    }

    @Test func `No work is complete, and a bar never exceeds its full length`() {
        #expect(ProgressBar("x", total: 0, isVisible: false).text(0).contains("·") == false)
        #expect(ProgressBar("x", total: 3, isVisible: false).text(9).contains("·") == false)
    }
}
