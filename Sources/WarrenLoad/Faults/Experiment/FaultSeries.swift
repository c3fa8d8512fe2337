import Foundation

/// Makes experiments one after another, and prints what came of them.
struct FaultSeries {
    /// How reports are printed.
    enum Form {
        case lines
        case table
        case markdown
    }

    let faults: [any Fault]
    let isShort: Bool
    let version: String
    let form: Form

    /// Runs all faults; false if one of them broke what is owed.
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
        StatusLine.show("ending the brokers")
        // A shield: when the run is cancelled, as by Ctrl-C, its brokers must end all the same.
        await Task { await brokers.endAll() }.value
        StatusLine.clear()
        let reports = try result.get()
        let isGood = reports.allSatisfy(\.holds)
        if isGood {
            try? FileManager.default.removeItem(at: folder)
        } else {
            Surroundings.say("not all that is owed was kept; journals and logs of the workers: \(folder.path)")
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
            StatusLine.show("\(fault.name), \(reports.count + 1) of \(faults.count)")
            let own = folder.appending(path: fault.name)
            try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
            let context = FaultContext(isShort: isShort, brokers: brokers, folder: own)
            var report: FaultReport
            let start = ContinuousClock.now
            do {
                report = try await fault.run(context)
            } catch {
                try Task.checkCancellation()
                report = FaultReport(fault: fault.name, broken: ["the experiment could not be made: \(error)"])
            }
            report.figures.append(("took_s", (ContinuousClock.now - start) / .seconds(1)))
            reports.append(report)
            StatusLine.clear()
            if form == .lines {
                print(try report.line)
                fflush(nil)
            }
        }
        return reports
    }
}
