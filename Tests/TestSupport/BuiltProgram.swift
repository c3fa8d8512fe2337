import Foundation

/// A program of this package, which the build put beside the tests' own.
package enum BuiltProgram {
    package struct Missing: Error, CustomStringConvertible {
        let name: String
        package var description: String { "\(name) is missing. Build the tests first: swift build --build-tests" }
    }

    /// The path of the fixture, whose subcommands are the processes that tests signal and kill.
    package static var processFixture: String {
        get throws { try path("ProcessFixture") }
    }

    /// The path of the program with a name.
    package static func path(_ name: String) throws -> String {
        let folders = [
            URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent(),
            TestBroker.root.appending(path: ".build/debug"),
        ]
        let paths = folders.map { $0.appending(path: name).path }
        guard let path = paths.first(where: FileManager.default.isExecutableFile) else { throw Missing(name: name) }
        return path
    }
}
