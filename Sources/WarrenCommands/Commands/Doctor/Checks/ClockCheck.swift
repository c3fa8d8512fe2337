/// Whether this machine's clock and the broker's agree.
enum ClockCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        guard let skew = facts.management?.skew, skew.least > 2 else { return [] }
        let seconds = Int(skew.least)
        return [
            Finding(
                skew.least > 30 ? .error : .warning,
                .clock,
                problem:
                    "The broker's clock is at least \(seconds) s \(skew.isAhead ? "ahead of" : "behind") this machine's.",
                consequence:
                    "When a job is due and when it expires is written in wall-clock time: workers on machines that differ start "
                    + "jobs early or late, and drop as expired what isn't.",
                remedy: "Set both clocks by NTP (chrony, systemd-timesyncd)."
            )
        ]
    }
}
