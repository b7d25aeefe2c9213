"""REINFORCE and an actor-critic on a cart with a pole, simulated here; actions are drawn with numbers from NumPy."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.distributions import Categorical

TOLERANCE = 3e-3  # Returns of whole episodes in float32.


class CartPole:
    """The equations of Barto, Sutton and Anderson (1983)."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def reset(self):
        self.state = self.rng.uniform(-0.05, 0.05, 4)
        return self.state

    def step(self, action):
        x, v, angle, spin = self.state
        force = 10.0 if action == 1 else -10.0
        push = (force + 0.05 * spin**2 * math.sin(angle)) / 1.1
        turn = (9.8 * math.sin(angle) - math.cos(angle) * push) / (0.5 * (4 / 3 - 0.1 * math.cos(angle) ** 2 / 1.1))
        speed = push - 0.05 * turn * math.cos(angle) / 1.1
        self.state = np.array([x + 0.02 * v, v + 0.02 * speed, angle + 0.02 * spin, spin + 0.02 * turn])
        return self.state, 1.0, bool(abs(self.state[0]) > 2.4 or abs(self.state[2]) > 0.2)


class Policy(nn.Module):
    def __init__(self, critic):
        super().__init__()
        self.affine1 = nn.Linear(4, 32)
        self.action_head = nn.Linear(32, 2)
        self.value_head = nn.Linear(32, 1) if critic else None

    def forward(self, x):
        x = F.relu(self.affine1(x))
        value = None if self.value_head is None else self.value_head(x)
        return F.softmax(self.action_head(x), dim=-1), value


def train(critic, episodes):
    policy = Policy(critic)
    rng = np.random.default_rng(3)
    with torch.no_grad():
        for p in policy.parameters():
            p.copy_(torch.from_numpy((rng.normal(size=tuple(p.shape)) * 0.3).astype(np.float32)))
    optimizer = optim.Adam(policy.parameters(), lr=1e-2)
    env, eps = CartPole(0), np.finfo(np.float32).eps.item()
    for episode in range(episodes):
        state, logs, values, rewards = env.reset(), [], [], []
        for _ in range(60):
            probs, value = policy(torch.from_numpy(state).float().unsqueeze(0))
            m = Categorical(probs)
            action = torch.tensor([int(rng.random() > probs[0, 0].item())])
            logs.append(m.log_prob(action))
            values.append(value)
            state, reward, done = env.step(action.item())
            rewards.append(reward)
            if done:
                break
        R, returns = 0.0, []
        for r in rewards[::-1]:
            R = r + 0.99 * R
            returns.insert(0, R)
        returns = torch.tensor(returns)
        returns = (returns - returns.mean()) / (returns.std() + eps)
        losses = []
        for log, R, value in zip(logs, returns, values, strict=True):
            advantage = R if value is None else R - value.item()
            losses.append(-log * advantage)
            if value is not None:
                losses.append(F.smooth_l1_loss(value.reshape(1), R.reshape(1)).reshape(1))
        optimizer.zero_grad()
        loss = torch.cat(losses).sum()
        loss.backward()
        optimizer.step()
        print(episode, len(rewards), round(loss.item(), 3), round(m.entropy().item(), 4))


train(False, 5)
train(True, 5)
