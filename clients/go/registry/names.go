package registry

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

const (
	defaultNamespace = "default"
	latest           = "latest"
	defaultPort      = "7070"
)

var (
	idPattern     = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?\z`)
	digestPattern = regexp.MustCompile(`^[0-9a-f]{64}\z`)
	numberPattern = regexp.MustCompile(`^[1-9][0-9]{0,17}\z`)
)

// Model names a model within its namespace.
type Model struct {
	Namespace string
	Name      string
}

// ParseModel parses [namespace/]model.
func ParseModel(text string) (Model, error) {
	return parseModel(text, text)
}

// Wire is the resource name that requests carry: namespaces/{namespace}/models/{model}.
func (m Model) Wire() string { return "namespaces/" + m.Namespace + "/models/" + m.Name }

// String is the form that people type: namespace/model.
func (m Model) String() string { return m.Namespace + "/" + m.Name }

// Reference names a version of a model by number, alias or digest; by none of them it is the latest.
type Reference struct {
	Model Model
	// Number is 0 unless the version is named by number.
	Number uint64
	Alias  string
	// Digest is the version digest, 64 hex digits.
	Digest string
	// Server is the host:port of a regsvc:// prefix, or empty. Wire and String leave it out.
	Server string
}

// ParseReference parses [regsvc://host[:port]/][namespace/]model[:N | @alias | @b3:HEX].
func ParseReference(text string) (Reference, error) {
	server, rest, err := splitServer(text)
	if err != nil {
		return Reference{}, err
	}
	ref := Reference{Server: server}
	base, suffix, byAlias := strings.Cut(rest, "@")
	number, byNumber := "", false
	if !byAlias {
		base, number, byNumber = strings.Cut(rest, ":")
	}
	if ref.Model, err = parseModel(base, text); err != nil {
		return Reference{}, err
	}
	switch digest, byDigest := strings.CutPrefix(suffix, "b3:"); {
	case byDigest:
		ref.Digest, err = parseDigest(digest, text)
	case byAlias && suffix != latest:
		ref.Alias, err = parseAlias(suffix, text)
	case byNumber && number != latest:
		ref.Number, err = parseNumber(number, text)
	}
	return ref, err
}

// Wire is the resource name that requests carry.
func (r Reference) Wire() string {
	switch {
	case r.Alias != "":
		return r.Model.Wire() + "/aliases/" + r.Alias
	case r.Digest != "":
		return r.Model.Wire() + "/versions/b3:" + r.Digest
	case r.Number != 0:
		return fmt.Sprintf("%s/versions/%d", r.Model.Wire(), r.Number)
	}
	return r.Model.Wire() + "/versions/" + latest
}

// String is the form that people type.
func (r Reference) String() string {
	switch {
	case r.Alias != "":
		return r.Model.String() + "@" + r.Alias
	case r.Digest != "":
		return r.Model.String() + "@b3:" + r.Digest
	case r.Number != 0:
		return fmt.Sprintf("%s:%d", r.Model, r.Number)
	}
	return r.Model.String()
}

// ParseVersionName parses the resource name of a version, as responses carry it.
func ParseVersionName(name string) (Reference, error) {
	model, kind, last, err := splitName(name)
	if err != nil {
		return Reference{}, err
	}
	ref := Reference{Model: model}
	digest, byDigest := strings.CutPrefix(last, "b3:")
	switch {
	case kind != "versions" && kind != "aliases":
		return Reference{}, nameError(name, "expected {model}/versions/{number} or {model}/aliases/{alias}")
	case last == latest:
	case kind == "aliases":
		ref.Alias, err = parseAlias(last, name)
	case byDigest:
		ref.Digest, err = parseDigest(digest, name)
	default:
		ref.Number, err = parseNumber(last, name)
	}
	return ref, err
}

// Build names a build of a model.
type Build struct {
	Model  Model
	Number uint64
}

// ParseBuild parses [namespace/]model/builds/N or the resource name of a build.
func ParseBuild(text string) (Build, error) {
	if strings.HasPrefix(text, "namespaces/") {
		model, kind, last, err := splitName(text)
		if err == nil && kind != "builds" {
			err = nameError(text, "expected {model}/builds/{number}")
		}
		if err != nil {
			return Build{}, err
		}
		number, err := parseNumber(last, text)
		return Build{model, number}, err
	}
	i := strings.LastIndex(text, "/builds/")
	if i < 0 {
		return Build{}, nameError(text, "expected [namespace/]model/builds/N")
	}
	model, err := parseModel(text[:i], text)
	if err != nil {
		return Build{}, err
	}
	number, err := parseNumber(text[i+len("/builds/"):], text)
	return Build{model, number}, err
}

// Wire is the resource name that requests carry.
func (b Build) Wire() string { return fmt.Sprintf("%s/builds/%d", b.Model.Wire(), b.Number) }

// String is the form that people type.
func (b Build) String() string { return fmt.Sprintf("%s/builds/%d", b.Model, b.Number) }

func splitServer(text string) (server, rest string, err error) {
	rest, named := strings.CutPrefix(text, "regsvc://")
	if !named {
		return "", text, nil
	}
	server, rest, found := strings.Cut(rest, "/")
	if server == "" || !found {
		return "", "", nameError(text, "expected regsvc://host[:port]/[namespace/]model")
	}
	if !strings.Contains(server, ":") {
		server += ":" + defaultPort
	}
	return server, rest, nil
}

func splitName(name string) (model Model, kind, last string, err error) {
	parts := strings.Split(name, "/")
	if len(parts) != 6 || parts[0] != "namespaces" || parts[2] != "models" {
		return Model{}, "", "", nameError(name, "expected namespaces/{namespace}/models/{model}/...")
	}
	if !idPattern.MatchString(parts[1]) || !idPattern.MatchString(parts[3]) {
		return Model{}, "", "", nameError(name, "ids are 1 to 63 of a-z, 0-9, '.', '_', '-'")
	}
	return Model{parts[1], parts[3]}, parts[4], parts[5], nil
}

// parseModel parses base; whole is what the error repeats.
func parseModel(base, whole string) (Model, error) {
	namespace, name := defaultNamespace, base
	if i := strings.LastIndex(base, "/"); i >= 0 {
		namespace, name = base[:i], base[i+1:]
	}
	if !idPattern.MatchString(namespace) || !idPattern.MatchString(name) {
		return Model{}, nameError(whole, "expected [namespace/]model with ids of a-z, 0-9, '.', '_', '-'")
	}
	return Model{namespace, name}, nil
}

func parseAlias(alias, whole string) (string, error) {
	// An alias starts with a letter, so that it never looks like a version number.
	if !idPattern.MatchString(alias) || alias[0] < 'a' || alias == latest {
		return "", nameError(whole, "an alias starts with a letter and is not 'latest'")
	}
	return alias, nil
}

func parseNumber(text, whole string) (uint64, error) {
	if !numberPattern.MatchString(text) {
		return 0, nameError(whole, "expected a number from 1")
	}
	return strconv.ParseUint(text, 10, 64)
}

func parseDigest(text, whole string) (string, error) {
	if !digestPattern.MatchString(text) {
		return "", nameError(whole, "expected b3: and 64 hex digits")
	}
	return text, nil
}
