package main

import (
	"encoding/json"
	"os"
)

// printJSON prints one document on one line, at once.
func printJSON(document any) error {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}
