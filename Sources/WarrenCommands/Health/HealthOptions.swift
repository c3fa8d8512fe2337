import ArgumentParser

/// How the `worker` command tells probes of its health.
struct HealthOptions: ParsableArguments {
    @Option(
        name: .customLong("health-file"),
        help: ArgumentHelp(
            "A file in which the worker's health stands as JSON, for 'health'.",
            discussion: "With --processes, worker i of health.json has health-i.json.",
            valueName: "path"
        )
    )
    var file: String?

    @Option(
        name: .customLong("health-interval"),
        help: ArgumentHelp("How often the worker's health is looked at and the file is written.", valueName: "duration")
    )
    var interval = DurationArgument(.seconds(5))

    @Option(
        name: .customLong("health-port"),
        help: ArgumentHelp(
            "A port of 127.0.0.1 on which /livez and /readyz answer 200 or 503.",
            discussion: "With --processes, worker i has this port plus i.",
            valueName: "port"
        )
    )
    var port: UInt16?

    func validate() throws {
        guard interval.duration > .zero else { throw ValidationError("--health-interval must be above zero.") }
        guard port != 0 else { throw ValidationError("--health-port must be 1 to 65535.") }
    }
}
