// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "warren",
    // 15.4 has the runtime for `isolated deinit`.
    platforms: [.macOS("15.4")],
    products: [
        .library(name: "AMQP", targets: ["AMQP"]),
        .library(name: "RabbitMQ", targets: ["RabbitMQ"]),
        .library(name: "EmbeddedBroker", targets: ["EmbeddedBroker"]),
        .library(name: "Brokers", targets: ["Brokers"]),
        .library(name: "EmbeddedStore", targets: ["EmbeddedStore"]),
        .library(name: "Warren", targets: ["Warren"]),
        .library(name: "WarrenTesting", targets: ["WarrenTesting"]),
        .library(name: "WarrenCommands", targets: ["WarrenCommands"]),
        .executable(name: "warren", targets: ["WarrenTool"]),
        .executable(name: "warren-load", targets: ["WarrenLoad"]),
        .executable(name: "warren-load-c", targets: ["WarrenLoadC"]),
        .executable(name: "digest", targets: ["Digest"]),
        .executable(name: "publish-and-consume", targets: ["PublishAndConsume"]),
    ],
    dependencies: [
        // Each line says what it saves us from writing.
        // Logging that the application, not the library, sends where it belongs.
        .package(url: "https://github.com/apple/swift-log", from: "1.6.3"),
        // Counters and timers that any monitoring back end can read.
        .package(url: "https://github.com/apple/swift-metrics", from: "2.7.0"),
        // Start, signals and graceful shutdown in the way the rest of a Swift service does them.
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.8.0"),
        // The command tree: parsing, help, validation.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0"),
        // Settings from the environment and files, with one precedence.
        .package(url: "https://github.com/apple/swift-configuration", from: "1.0.0"),
        // Deques for what is waiting, a heap for what is due.
        .package(url: "https://github.com/apple/swift-collections", from: "1.3.0"),
        // SHA-256 in the Digest example.
        .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
        // Child processes with their output and signals: the supervisor of workers, tests, the load tool.
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0"),
        // Files by their descriptors, in the spool, without unsafe code of ours or full Foundation.
        .package(url: "https://github.com/apple/swift-system", from: "1.6.0"),
        // The HTTP server behind a worker's /livez and /readyz; its sockets, the proxy of the fault experiments.
        .package(url: "https://github.com/swhitty/FlyingFox", from: "0.26.0"),
        // SQLite without C or unsafe code of ours: the file of a durable embedded broker.
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CRabbitMQ",
            pkgConfig: "librabbitmq",
            providers: [.apt(["librabbitmq-dev"]), .brew(["rabbitmq-c"])]
        ),
        .target(name: "AMQP"),
        .target(
            name: "RabbitMQ",
            dependencies: [
                "AMQP", "CRabbitMQ",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .target(
            name: "EmbeddedBroker",
            dependencies: [
                "AMQP",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ]
        ),
        // For what only one process may use: a spool, a durable broker's file.
        .target(name: "FileLock", dependencies: [.product(name: "SystemPackage", package: "swift-system")]),
        // The one target that needs SQLite.
        .target(
            name: "EmbeddedStore",
            dependencies: [
                "AMQP", "EmbeddedBroker", "FileLock",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ]
        ),
        .target(
            name: "Warren",
            dependencies: [
                "AMQP", "FileLock",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SystemPackage", package: "swift-system"),
            ]
        ),
        .target(
            name: "Brokers",
            dependencies: [
                "AMQP", "EmbeddedBroker", "RabbitMQ",
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .target(
            name: "WarrenTesting",
            dependencies: [
                "AMQP", "EmbeddedBroker", "Warren",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]
        ),
        .target(
            name: "WarrenCommands",
            dependencies: [
                "AMQP", "Brokers", "RabbitMQ", "Warren",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "FlyingFox", package: "FlyingFox"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ]
        ),
        // Not `Sources/warren`: on a file system that ignores case it would be the folder of the library.
        .executableTarget(
            name: "WarrenTool",
            dependencies: [
                "AMQP", "Brokers", "EmbeddedBroker", "EmbeddedStore", "Warren", "WarrenCommands",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .executableTarget(
            name: "WarrenLoad",
            dependencies: [
                "AMQP", "Brokers", "CeleryCaptures", "RabbitMQ", "Warren",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "FlyingSocks", package: "FlyingFox"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]
        ),
        // The yardstick: the same work in plain C over the same library.
        .executableTarget(name: "WarrenLoadC", dependencies: ["CRabbitMQ"]),
        .executableTarget(
            name: "Digest",
            dependencies: [
                "AMQP", "RabbitMQ", "Warren", "WarrenCommands",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            path: "Examples/Digest",
            exclude: ["README.md"]
        ),
        .executableTarget(
            name: "QuickStart",
            dependencies: ["AMQP", "Brokers", "Warren"],
            path: "Examples/QuickStart",
            exclude: ["README.md"]
        ),
        .executableTarget(
            name: "PublishAndConsume",
            dependencies: ["AMQP", "RabbitMQ"],
            path: "Examples/PublishAndConsume",
            exclude: ["README.md"]
        ),
        // What several test targets use.
        .target(
            name: "TestSupport",
            dependencies: [.product(name: "Subprocess", package: "swift-subprocess")],
            path: "Tests/TestSupport"
        ),
        // Celery's messages, for the tests of the envelope and for the fuzzer to begin with.
        .target(name: "CeleryCaptures", dependencies: ["AMQP"], path: "Tests/CeleryCaptures"),
        .testTarget(name: "AMQPTests", dependencies: ["AMQP", "TestSupport"]),
        .testTarget(name: "RabbitMQTests", dependencies: ["AMQP", "CRabbitMQ", "RabbitMQ", "TestSupport"]),
        .testTarget(
            name: "EmbeddedBrokerTests",
            dependencies: [
                "AMQP", "EmbeddedBroker", "TestSupport", "Warren",
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .testTarget(
            name: "WarrenTestingTests",
            dependencies: [
                "AMQP", "EmbeddedBroker", "TestSupport", "Warren", "WarrenTesting",
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .testTarget(
            name: "EmbeddedStoreTests",
            dependencies: [
                "AMQP", "EmbeddedBroker", "EmbeddedStore", "StoringClient", "TestSupport",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ]
        ),
        // A process with a durable broker for those tests to kill.
        .executableTarget(
            name: "StoringClient",
            dependencies: [
                "AMQP", "EmbeddedBroker", "EmbeddedStore", "TestSupport",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Tests/StoringClient"
        ),
        .testTarget(
            name: "WarrenTests",
            dependencies: [
                "AMQP", "CeleryCaptures", "EmbeddedBroker", "FileLock", "TestSupport", "Warren",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            // Messages captured from Celery.
            resources: [.copy("Fixtures")]
        ),
        .testTarget(
            name: "WarrenCommandsTests",
            dependencies: [
                "AMQP", "Brokers", "EmbeddedBroker", "RabbitMQ", "Warren", "WarrenCommands",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .testTarget(name: "DigestTests", dependencies: ["Digest", "Warren"]),
        // Each behaviour of a broker that Warren relies on, on RabbitMQ and on the embedded broker.
        .testTarget(
            name: "ConformanceTests",
            dependencies: ["AMQP", "EmbeddedBroker", "RabbitMQ", "TestSupport", "Warren"]
        ),
        .testTarget(name: "WarrenLoadTests", dependencies: ["AMQP", "TestSupport", "WarrenLoad"]),
        // Processes for the integration tests to lose.
        .executableTarget(
            name: "TrappingWorker",
            dependencies: ["AMQP", "RabbitMQ", "Warren"],
            path: "Tests/TrappingWorker"
        ),
        .executableTarget(name: "SpoolingClient", dependencies: ["RabbitMQ", "Warren"], path: "Tests/SpoolingClient"),
        // A program of worker processes for the integration tests to signal and kill.
        .executableTarget(
            name: "ProbeApplication",
            dependencies: [
                "AMQP", "RabbitMQ", "Warren", "WarrenCommands",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tests/ProbeApplication"
        ),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "AMQP", "EmbeddedBroker", "EmbeddedStore", "ProbeApplication", "RabbitMQ", "SpoolingClient",
                "TestSupport", "TrappingWorker", "Warren", "WarrenCommands", "WarrenTool",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)

// One place for the settings of every Swift target. CI turns warnings into errors.
let warningsAreErrors = Context.environment["WARREN_WARNINGS_AS_ERRORS"] == "1"
for target in package.targets where target.type != .system && target.name != "WarrenLoadC" {
    target.swiftSettings =
        [
            .enableUpcomingFeature("ExistentialAny"),
            .enableUpcomingFeature("InternalImportsByDefault"),
            .enableUpcomingFeature("MemberImportVisibility"),
            .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
            .strictMemorySafety(),
        ] + (warningsAreErrors ? [.treatAllWarnings(as: .error)] : [])
}
