"""Where somebody speaks in a wav file of 16 kHz, by Silero's voice detector: vad.py silero_vad.onnx speech.wav"""
import sys, wave
import numpy as np
import refrain

session = refrain.load(sys.argv[1], states=[("state", "stateN")]).session()
session.prepare_step(shapes={"input": (1, 576)}, values={"sr": 16000})
with wave.open(sys.argv[2]) as file:
    sound = b"\0" * 128 + file.readframes(file.getnframes())  # each 512 samples come with the 64 before
samples = np.frombuffer(sound, "<i2").astype("f4") / 32768
for start in range(0, len(samples) - 575, 512):
    print(start / 16000, session.step({"input": samples[None, start : start + 576]})["output"].item())
