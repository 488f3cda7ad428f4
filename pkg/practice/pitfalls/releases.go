package pitfalls

import "time"

// The table of Kubernetes releases ends with lastMinor; what is newer is
// unknown to this build, and is never called fine.
const (
	firstMinor = 19
	lastMinor  = 37
	// releasesAsOf is the day on which the table was made.
	releasesAsOf = "23 November 2026"
)

// endOfLife is the last day of support of Kubernetes 1.minor. For releases of
// the past it is when the last patch was due, for the others what was announced
// (https://kubernetes.io/releases/ and
// https://github.com/kubernetes/website/blob/main/data/releases/eol.yaml, read
// on the day above).
func endOfLife(minor uint) (time.Time, bool) {
	day := map[uint]string{
		19: "2021-10-28", 20: "2022-02-28", 21: "2022-06-28", 22: "2022-12-08", 23: "2023-02-28", 24: "2023-07-28", 25: "2023-10-28",
		26: "2024-02-28", 27: "2024-07-16", 28: "2024-10-22", 29: "2025-02-28", 30: "2025-07-15", 31: "2025-11-11", 32: "2026-02-28",
		33: "2026-06-28", 34: "2026-10-27", 35: "2027-02-28", 36: "2027-06-28", 37: "2027-10-28",
	}[minor]
	end, err := time.Parse(time.DateOnly, day)
	return end.Add(24 * time.Hour), err == nil
}
