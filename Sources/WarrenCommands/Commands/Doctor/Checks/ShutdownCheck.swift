/// Whether jobs can finish when a worker is told to stop.
enum ShutdownCheck {
    static func findings(_ facts: DoctorFacts) -> [Finding] {
        let deadline = facts.assumptions.shutdownTimeout
        let longer = facts.jobs.filter { $0.timeLimit.map { $0 > deadline } ?? false }.map(\.name)
        guard !longer.isEmpty else { return [] }
        return [
            Finding(
                .note,
                .shutdown,
                longer.count == 1 ? longer[0] : nil,
                problem: "The jobs \(NameList.text(longer.sorted())) may run longer than the shutdown deadline of "
                    + "\(deadline / .seconds(1)) seconds.",
                consequence: "At every deployment such a run is cancelled, handed back and begun again from the start.",
                remedy:
                    "Raise the workers' --shutdown-timeout (and, in Kubernetes, terminationGracePeriodSeconds above it), or make "
                    + "the jobs go on from where they were."
            )
        ]
    }
}
