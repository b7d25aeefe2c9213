"""Known architectures with the names and state-dict keys of torchvision and Hugging Face."""

from funcgrad.models.bert import BertConfig as BertConfig
from funcgrad.models.bert import BertModel as BertModel
from funcgrad.models.mobilenet import MobileNetV2 as MobileNetV2
from funcgrad.models.mobilenet import mobilenet_v2 as mobilenet_v2
from funcgrad.models.resnet import ResNet as ResNet
from funcgrad.models.resnet import resnet18 as resnet18
from funcgrad.models.resnet import resnet34 as resnet34
from funcgrad.models.resnet import resnet50 as resnet50
from funcgrad.models.sentences import SentenceEncoder as SentenceEncoder
from funcgrad.models.sentences import mean_pooling as mean_pooling
from funcgrad.models.vgg import VGG as VGG
from funcgrad.models.vgg import vgg11 as vgg11
