/// Random numbers that are the same for the same seed on every machine (SplitMix64), so that a case can be run again.
struct FuzzGenerator: RandomNumberGenerator {
    private var state: UInt64

    /// The numbers of one case: each has its own, so that it can be run alone.
    init(seed: UInt64, index: Int) {
        state = seed
        state = next() ^ UInt64(truncatingIfNeeded: index) &* 0xD6E8_FEB8_6659_FD93
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, and without, `bound`; 0 if there is none.
    mutating func below(_ bound: Int) -> Int { bound > 0 ? Int.random(in: 0..<bound, using: &self) : 0 }
}
