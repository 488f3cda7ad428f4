package disk

import "golang.org/x/sys/windows"

// free is what the user may still write, in bytes.
func free(directory string) (int64, error) {
	path, err := windows.UTF16PtrFromString(directory)
	if err != nil {
		return 0, err
	}
	var available uint64
	if err := windows.GetDiskFreeSpaceEx(path, &available, nil, nil); err != nil {
		return 0, err
	}
	return int64(available), nil //nolint:gosec // no disk has 2^63 bytes
}
