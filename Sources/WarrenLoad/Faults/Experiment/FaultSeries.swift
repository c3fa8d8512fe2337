import Foundation

/// Runs experiments one after another, and prints their results.
struct FaultSeries {
    /// The form in which reports are printed.
    enum Form {
        case lines
        case table
        case markdown
    }

    let faults: [any Fault]
    let isShort: Bool
    let version: String
    let form: Form

    /// Runs all faults; returns false if one of them missed a requirement.
    func run() async throws -> Bool {
        let brokers = FaultBrokers(version: version)
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "warren-faults-\(ProcessInfo.processInfo.processIdentifier)")
        let result: Result<[FaultReport], any Error>
        do {
            result = .success(try await run(brokers, folder))
        } catch {
            result = .failure(error)
        }
        Console.showStatus("stopping the brokers")
        // A cancellation shield: if the run is cancelled, as by Ctrl-C, its brokers must still be stopped.
        await Task { await brokers.endAll() }.value
        Console.clearStatus()
        let reports = try result.get()
        let isGood = reports.allSatisfy(\.holds)
        if isGood {
            try? FileManager.default.removeItem(at: folder)
        } else {
            Console.warn("some requirements were not met; event logs and logs of the workers: \(folder.path)")
        }
        let summaries = Dictionary(uniqueKeysWithValues: faults.map { ($0.name, $0.summary) })
        switch form {
        case .lines: break
        case .table: print(FaultTable(reports, summaries: [:]).text)
        case .markdown: print(FaultTable(reports, summaries: summaries).markdown)
        }
        return isGood
    }

    private func run(_ brokers: FaultBrokers, _ folder: URL) async throws -> [FaultReport] {
        var reports: [FaultReport] = []
        for fault in faults {
            Console.showStatus("\(fault.name), \(reports.count + 1) of \(faults.count)")
            let own = folder.appending(path: fault.name)
            try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
            let context = FaultContext(isShort: isShort, brokers: brokers, folder: own)
            var report: FaultReport
            let start = ContinuousClock.now
            do {
                report = try await fault.run(context)
            } catch {
                try Task.checkCancellation()
                report = FaultReport(fault: fault.name, broken: ["the experiment could not be run: \(error)"])
            }
            report.figures.append(("took_s", (ContinuousClock.now - start) / .seconds(1)))
            reports.append(report)
            Console.clearStatus()
            if form == .lines {
                print(try report.line)
                fflush(nil)
            }
        }
        return reports
    }
}
