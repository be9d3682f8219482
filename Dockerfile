# AMC-Gym with its agents, on a processor:
#
#     docker build -t amc-gym .
#     docker run --rm -v "$PWD":/work amc-gym search AMC-MobileNet-v0 --out plan.json
FROM python:3.12-slim

ARG INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir --index-url "$INDEX" torch torchvision

COPY . /tmp/amc-gym
RUN pip install --no-cache-dir "/tmp/amc-gym[agents,onnx]" /tmp/amc-gym/release/weights \
    && rm -r /tmp/amc-gym

WORKDIR /work
ENTRYPOINT ["amc-gym"]
CMD ["--help"]
