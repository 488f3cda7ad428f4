package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestALISTIsAGetOfACollection(t *testing.T) {
	lists := map[string]bool{
		"/api/v1/pods": true, "/apis/apps/v1/deployments": true,
		"/version": false, "/api": false, "/apis": false, "/api/v1": false, "/apis/apps/v1": false,
	}
	for path, want := range lists {
		if isList(path) != want {
			t.Errorf("%s: got %t, want %t", path, !want, want)
		}
	}
}

func TestPagesAreCountedUnderTheirLIST(t *testing.T) {
	var counted traffic
	metadata := "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	get(t, &counted, "/api/v1/pods?limit=500", "")
	get(t, &counted, "/api/v1/pods?limit=500&continue=abc", "")
	get(t, &counted, "/api/v1/secrets?fieldSelector=type%3Dkubernetes.io%2Ftls&limit=500", "")
	get(t, &counted, "/api/v1/secrets?limit=500", metadata)
	get(t, &counted, "/version", "")
	if len(counted.lists) != 3 || counted.lists[0].pages != 2 || counted.lists[0].starts != 1 || counted.lists[0].bytes != 4 {
		t.Errorf("got %+v, %+v", counted.lists, counted.lists[0])
	}
	names := []string{counted.lists[0].name(), counted.lists[1].name(), counted.lists[2].name()}
	if want := []string{"pods", "secrets (type=kubernetes.io/tls)", "secrets, metadata"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if twice := counted.twice(); len(twice) > 0 {
		t.Errorf("got %q as listed twice", twice)
	}
}

func TestAKindListedTwiceIsTold(t *testing.T) {
	var counted traffic
	get(t, &counted, "/apis/apps/v1/deployments?limit=500", "")
	get(t, &counted, "/apis/apps/v1/deployments?limit=500", "application/json")
	if twice := counted.twice(); len(twice) != 1 || !strings.HasPrefix(twice[0], "/apis/apps/v1/deployments") {
		t.Errorf("got %q", twice)
	}
}

// get has the counter see one request with an answer of two bytes.
func get(t *testing.T, counted *traffic, target, accept string) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	request.Header.Set("Accept", accept)
	recorder := httptest.NewRecorder()
	if _, err := recorder.WriteString("ok"); err != nil {
		t.Fatal(err)
	}
	response := recorder.Result()
	response.Request = request
	if err := counted.note(response); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 8)
	for {
		if _, err := response.Body.Read(buffer); err != nil {
			break
		}
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
}
