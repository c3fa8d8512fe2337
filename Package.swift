// swift-tools-version: 6.2
import PackageDescription

// The Swift Package Index builds documentation without librabbitmq and SQLite's headers: see the end of this file.
let needsNoC = Context.environment["SPI_GENERATE_DOCS"] != nil

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
    ],
    traits: [
        .default(enabledTraits: needsNoC ? [] : ["RabbitMQ"]),
        .trait(
            name: "RabbitMQ",
            description: "`import Warren` brings `Broker.open` too. Without this trait, Warren needs no librabbitmq."
        ),
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
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
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
                // Re-exported, nothing else: see Exports.swift.
            ] + (needsNoC ? [] : [.target(name: "Brokers", condition: .when(traits: ["RabbitMQ"]))])
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
            name: "QuickStart",
            dependencies: ["Warren"],
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
            dependencies: [
                "Warren", .product(name: "Logging", package: "swift-log"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ],
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
                "AMQP", "EmbeddedBroker", "EmbeddedStore", "ProcessFixture", "TestSupport",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ]
        ),
        .testTarget(
            name: "WarrenTests",
            dependencies: [
                "AMQP", "CeleryCaptures", "EmbeddedBroker", "FileLock", "TestSupport", "Warren",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
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
        // Each behaviour of a broker that Warren relies on, on RabbitMQ and on the embedded broker.
        .testTarget(
            name: "ConformanceTests",
            dependencies: ["AMQP", "EmbeddedBroker", "RabbitMQ", "TestSupport", "Warren"]
        ),
        // The processes that tests signal and kill, one subcommand each.
        .executableTarget(
            name: "ProcessFixture",
            dependencies: [
                "AMQP", "EmbeddedBroker", "EmbeddedStore", "RabbitMQ", "TestSupport", "Warren", "WarrenCommands",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Tests/ProcessFixture"
        ),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "AMQP", "EmbeddedBroker", "EmbeddedStore", "ProcessFixture", "RabbitMQ", "TestSupport", "Warren",
                "WarrenCommands", "WarrenTool",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)

// The load tool, the C program that it is compared with, and the Digest example. The programs of compose/ set the
// variable; it changes no other target, so building with and without it costs nothing.
if Context.environment["WARREN_TOOLS"] == "1" {
    package.products += [
        .executable(name: "warren-load", targets: ["WarrenLoad"]),
        .executable(name: "warren-load-c", targets: ["WarrenLoadC"]),
    ]
    package.targets += [
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
                "AMQP", "Warren", "WarrenCommands",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Examples/Digest",
            exclude: ["README.md"]
        ),
        .testTarget(name: "DigestTests", dependencies: ["Digest", "Warren"]),
        .testTarget(name: "WarrenLoadTests", dependencies: ["AMQP", "TestSupport", "WarrenLoad"]),
    ]
}

// What needs C is left out; the targets are those of .spi.yml, and the one that Warren uses.
if needsNoC {
    let names: Set = ["AMQP", "EmbeddedBroker", "FileLock", "Warren", "WarrenTesting"]
    package.products.removeAll { !names.contains($0.name) }
    package.targets.removeAll { !names.contains($0.name) }
}

// One place for the settings of every Swift target. .ci/run turns warnings into errors.
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
