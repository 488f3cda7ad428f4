package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
)

// machine is where it was measured.
type machine struct {
	platform string
	cores    int
	model    string // of the CPU; "" where it is not told
	memory   int    // GiB; 0 where it is not told
}

func thisMachine() machine {
	m := machine{platform: runtime.GOOS + "/" + runtime.GOARCH, cores: runtime.NumCPU()}
	m.model = find("/proc/cpuinfo", `model name\s*: (.*)`)
	if kilobytes, err := strconv.Atoi(find("/proc/meminfo", `MemTotal:\s*(\d+) kB`)); err == nil {
		m.memory = kilobytes >> 20
	}
	return m
}

func (m machine) String() string {
	text := fmt.Sprintf("%s, %d cores", m.platform, m.cores)
	if m.model != "" {
		text += " of " + m.model
	}
	if m.memory > 0 {
		text += fmt.Sprintf(", %d GiB", m.memory)
	}
	return text
}

// find is the first group of a pattern in a file, or "".
func find(file, pattern string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	if match := regexp.MustCompile(pattern).FindSubmatch(data); match != nil {
		return string(match[1])
	}
	return ""
}
