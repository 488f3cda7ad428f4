package manifest

// Platform is an operating system and an architecture, as Go and krew name
// them.
type Platform struct{ OS, Arch string }

// Platforms are those that are released.
func Platforms() []Platform {
	return []Platform{
		{"darwin", "amd64"},
		{"darwin", "arm64"},
		{"linux", "amd64"},
		{"linux", "arm64"},
		{"windows", "amd64"},
		{"windows", "arm64"},
	}
}

// Archive is the name of a version's archive for the platform; .goreleaser.yaml
// names them alike.
func (p Platform) Archive(version string) string {
	suffix := ".tar.gz"
	if p.OS == "windows" {
		suffix = ".zip"
	}
	return "kubectl-prod_" + version + "_" + p.OS + "_" + p.Arch + suffix
}

// Binary is the plugin's name in the archive.
func (p Platform) Binary() string {
	if p.OS == "windows" {
		return "kubectl-prod.exe"
	}
	return "kubectl-prod"
}
