package vectors

import (
	"bytes"

	"regsvc.dev/go/codec"
	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

func codecs(r *Report, text []byte) error {
	document, err := parse[struct {
		Codecs  map[string]regsvcv1.Codec
		Decodes []struct {
			Name         string
			Codec        regsvcv1.Codec
			Raw, Payload hexBytes
		}
		Refused []struct {
			Why     string
			Codec   regsvcv1.Codec
			Payload hexBytes
			RawSize int `json:"raw_size"`
		}
	}](text)
	if err != nil {
		return err
	}
	for name, number := range document.Codecs {
		r.expect(number.String() == "CODEC_"+name, "codec", "%s is %v in the contract", name, number)
	}
	for _, vector := range document.Decodes {
		got, err := codec.Decode(vector.Codec, vector.Payload, len(vector.Raw))
		r.expect(err == nil && bytes.Equal(got, vector.Raw), "codec", "%s: %v", vector.Name, err)
	}
	for _, vector := range document.Refused {
		_, err := codec.Decode(vector.Codec, vector.Payload, vector.RawSize)
		r.expect(err != nil, "codec", "decodes although: %s", vector.Why)
	}
	return nil
}
