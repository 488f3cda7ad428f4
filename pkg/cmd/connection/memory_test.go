package connection

import (
	"runtime"
	"testing"
)

func TestTheLimitKeepsClearOfWhatIsAlive(t *testing.T) {
	for _, alive := range []int64{0, usual, usual + 30<<20, 800 << 20, 16 << 30} {
		if limit := limitFor(alive); limit < memoryLimit || limit < alive+alive/3 {
			t.Errorf("of %d bytes alive the limit is %d", alive, limit)
		}
	}
}

func TestWhatIsAliveIsMeasured(t *testing.T) {
	held := make([]byte, 64<<20)
	runtime.GC()
	if found := alive(); found < int64(len(held)) {
		t.Errorf("%d bytes alive, and %d are held", found, len(held))
	}
	runtime.KeepAlive(held)
}
